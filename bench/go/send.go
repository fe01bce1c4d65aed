package main

import (
	"math/rand"
	"strconv"
	"time"
)

// A SEND_MESSAGE (10) as a Go client writes it: long field names in the order of the alphabet, no unique key.
type sendFrame struct {
	beforeBorn, beforeOpaque, beforeQueue, end []byte
	body                                       []byte
}

func newSendFrame(run *load) *sendFrame {
	body := make([]byte, run.BodySize)
	rand.New(rand.NewSource(1)).Read(body)
	return &sendFrame{
		beforeBorn: []byte(`{"code":10,"extFields":{"batch":"false","bornTimestamp":"`),
		beforeQueue: []byte(`","defaultTopic":"TBW102","defaultTopicQueueNums":"4","flag":"0","maxReconsumeTimes":"16",` +
			`"producerGroup":"bench_go","properties":"TAGS\u0001TagA\u0002WAIT\u0001true\u0002","queueId":"`),
		beforeOpaque: []byte(`","reconsumeTimes":"0","sysFlag":"0","topic":"` + run.Topic +
			`","unitMode":"false"},"flag":0,"language":"GO","opaque":`),
		end:  []byte(`,"remark":"","serializeTypeCurrentRPC":"JSON","version":317}`),
		body: body,
	}
}

func (f *sendFrame) append(out, header []byte, opaque, queueID int, bornMs int64) ([]byte, []byte) {
	header = append(header[:0], f.beforeBorn...)
	header = strconv.AppendInt(header, bornMs, 10)
	header = append(header, f.beforeQueue...)
	header = strconv.AppendInt(header, int64(queueID), 10)
	header = append(header, f.beforeOpaque...)
	header = strconv.AppendInt(header, int64(opaque), 10)
	header = append(header, f.end...)
	return appendFrame(out, header, f.body), header
}

// send keeps inFlight requests under way on one connection: the next is sent when one is answered.
func send(run *load, conn *connection, index int, seen *tally) error {
	frame := newSendFrame(run)
	// By slot: the opaque that is waited for, and when it was sent. opaque = round × inFlight + slot.
	waiting := make([]int, run.InFlight)
	sentAt := make([]time.Time, run.InFlight)
	var out, header []byte
	round, inFlight, queueID := 0, 0, index%run.QueueCount
	request := func(slot int, now time.Time) {
		round++
		waiting[slot] = round%1_000_000*run.InFlight + slot
		sentAt[slot] = now
		out, header = frame.append(out, header, waiting[slot], queueID, now.UnixMilli())
		queueID = (queueID + 1) % run.QueueCount
		inFlight++
	}
	for slot := range waiting {
		request(slot, time.Now())
	}
	var now time.Time
	var phase int32
	answer := func(answerHeader, _ []byte) error {
		opaque := number(answerHeader, opaqueName)
		slot := 0
		if opaque >= 0 {
			slot = opaque % run.InFlight
		}
		if opaque < 0 || waiting[slot] != opaque {
			seen.unexpected++
			return nil
		}
		waiting[slot] = -1
		inFlight--
		if phase == measuring {
			if code := number(answerHeader, codeName); code == 0 {
				seen.count++
				seen.latency.record(now.Sub(sentAt[slot]).Microseconds())
			} else {
				seen.refusals[code]++
			}
		}
		if phase != draining {
			request(slot, now)
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
		now, phase = time.Now(), run.phase.Load()
		if err := conn.read(func(h, b []byte) error {
			now, phase = time.Now(), run.phase.Load()
			return answer(h, b)
		}); err != nil {
			if run.phase.Load() == draining {
				seen.unanswered = int64(inFlight)
				return nil
			}
			return err
		}
	}
	return conn.socket.Close()
}
