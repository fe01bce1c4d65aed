package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"time"
)

const (
	readBufferBytes = 1 << 20
	lengthBytes     = 4
	prefixBytes     = 8
)

// connection cuts frames out of what it reads; its buffer is used again by the next read.
type connection struct {
	socket *net.TCPConn
	buffer []byte
	filled int
}

func dial(run *load) (*connection, error) {
	socket, err := net.DialTimeout("tcp", net.JoinHostPort(run.Host, strconv.Itoa(run.Port)), 10*time.Second)
	if err != nil {
		return nil, err
	}
	tcp := socket.(*net.TCPConn)
	return &connection{socket: tcp, buffer: make([]byte, readBufferBytes)}, tcp.SetNoDelay(true)
}

// read waits for bytes and gives every whole frame to each. The header and the body are valid until it returns.
func (c *connection) read(each func(header, body []byte) error) error {
	count, err := c.socket.Read(c.buffer[c.filled:])
	if err != nil {
		return err
	}
	c.filled += count
	at := 0
	for c.filled-at >= prefixBytes {
		size := int(binary.BigEndian.Uint32(c.buffer[at:])) + lengthBytes
		if size > c.filled-at {
			if size > len(c.buffer) {
				larger := make([]byte, size*2)
				copy(larger, c.buffer[at:c.filled])
				c.buffer, c.filled, at = larger, c.filled-at, 0
			}
			break
		}
		// The first byte of the second word is the serialization, the rest the length of the header.
		headerEnd := at + prefixBytes + int(binary.BigEndian.Uint32(c.buffer[at+lengthBytes:])&0xffffff)
		if headerEnd > at+size {
			return fmt.Errorf("a header ends behind its frame of %d bytes", size)
		}
		if err := each(c.buffer[at+prefixBytes:headerEnd], c.buffer[headerEnd:at+size]); err != nil {
			return err
		}
		at += size
	}
	copy(c.buffer, c.buffer[at:c.filled])
	c.filled -= at
	return nil
}

// appendFrame appends a frame with a JSON header to out.
func appendFrame(out, header, body []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(lengthBytes+len(header)+len(body)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(header)))
	return append(append(out, header...), body...)
}

var (
	opaqueName = []byte(`"opaque":`)
	codeName   = []byte(`"code":`)
)

// number reads the digits behind the first place of name in a header; -1 without them.
func number(header, name []byte) int {
	at := bytes.Index(header, name)
	if at < 0 {
		return -1
	}
	at += len(name)
	value, digits := 0, 0
	for ; at < len(header) && header[at] >= '0' && header[at] <= '9'; at++ {
		value = value*10 + int(header[at]-'0')
		digits++
	}
	if digits == 0 {
		return -1
	}
	return value
}
