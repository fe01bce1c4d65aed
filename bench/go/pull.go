package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

const magicV1 = 0xdaa320a7

type cursor struct {
	offset int64
	sentAt time.Time
}

// pull keeps one PULL_MESSAGE (11) under way for each queue of the connection; the opaque is the queue id.
func pull(run *load, conn *connection, index int, seen *tally) error {
	cursors := map[int]*cursor{}
	var out, header []byte
	inFlight := 0
	request := func(queueID int, at *cursor, now time.Time) {
		at.sentAt = now
		header = append(header[:0], `{"code":11,"extFields":{"commitOffset":"0","consumerGroup":"bench_go","expressionType":"TAG","maxMsgNums":"`...)
		header = strconv.AppendInt(header, int64(run.BatchSize), 10)
		header = append(header, `","queueId":"`...)
		header = strconv.AppendInt(header, int64(queueID), 10)
		header = append(header, `","queueOffset":"`...)
		header = strconv.AppendInt(header, at.offset, 10)
		// Bit 2: the subscription travels in the request; no suspend, no offset commit.
		header = append(header, `","subVersion":"0","subscription":"*","suspendTimeoutMillis":"0","sysFlag":"4","topic":"`+run.Topic+`"},"flag":0,"language":"GO","opaque":`...)
		header = strconv.AppendInt(header, int64(queueID), 10)
		header = append(header, `,"remark":"","serializeTypeCurrentRPC":"JSON","version":317}`...)
		out = appendFrame(out, header, nil)
		inFlight++
	}
	for queueID := index; queueID < len(run.MinOffsets); queueID += run.Connections {
		cursors[queueID] = &cursor{offset: run.MinOffsets[queueID]}
		request(queueID, cursors[queueID], time.Now())
	}
	answer := func(answerHeader, body []byte) error {
		queueID := number(answerHeader, opaqueName)
		at := cursors[queueID]
		if at == nil {
			return fmt.Errorf("an answer to a pull that was never sent")
		}
		if code := number(answerHeader, codeName); code != 0 {
			return fmt.Errorf("pull answered with %s", answerHeader)
		}
		now, phase := time.Now(), run.phase.Load()
		inFlight--
		records, err := readRecords(body, at, seen)
		if err != nil {
			return err
		}
		if phase == measuring {
			seen.count += records
			seen.latency.record(now.Sub(at.sentAt).Microseconds())
		}
		if at.offset >= run.MaxOffsets[queueID] {
			at.offset = run.MinOffsets[queueID]
		}
		if phase != draining {
			request(queueID, at, now)
		}
		return nil
	}
	for inFlight > 0 {
		if len(out) > 0 {
			if _, err := conn.socket.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		if err := conn.read(answer); err != nil {
			if run.phase.Load() == draining {
				seen.unanswered = int64(inFlight)
				return nil
			}
			return err
		}
	}
	return conn.socket.Close()
}

// readRecords checks that each record follows its predecessor: i32 size, i32 magic, ..., i64 queue offset at 20.
func readRecords(body []byte, at *cursor, seen *tally) (records int64, err error) {
	for len(body) > 0 {
		if len(body) < 28 {
			return 0, fmt.Errorf("%d bytes behind the last record", len(body))
		}
		size := int(binary.BigEndian.Uint32(body))
		if size < 28 || size > len(body) || binary.BigEndian.Uint32(body[4:]) != magicV1 {
			return 0, fmt.Errorf("no whole record in %d bytes of a pull's body", len(body))
		}
		offset := int64(binary.BigEndian.Uint64(body[20:]))
		if offset != at.offset {
			seen.unexpected++
		}
		at.offset = offset + 1
		records++
		body = body[size:]
	}
	return records, nil
}
