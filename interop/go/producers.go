package main

import (
	"context"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	inFlightMax = 256
	batchCount  = 32
)

var statusNames = map[primitive.SendStatus]string{
	primitive.SendOK:                "SEND_OK",
	primitive.SendFlushDiskTimeout:  "FLUSH_DISK_TIMEOUT",
	primitive.SendFlushSlaveTimeout: "FLUSH_SLAVE_TIMEOUT",
	primitive.SendSlaveNotAvailable: "SLAVE_NOT_AVAILABLE",
}

// tally is what became of the messages of one send command.
type tally struct {
	mutex   sync.Mutex
	status  map[string]int
	errors  map[string]int
	samples []map[string]interface{}
}

func (t *tally) add(index, count int, result *primitive.SendResult, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err != nil {
		t.errors[err.Error()] += count
		return
	}
	name, ok := statusNames[result.Status]
	if !ok {
		name = "UNKNOWN"
	}
	t.status[name] += count
	if len(t.samples) < 20 {
		t.samples = append(t.samples, map[string]interface{}{
			"index": index, "msgId": result.MsgID, "offsetMsgId": result.OffsetMsgID,
			"queueId": result.MessageQueue.QueueId, "queueOffset": result.QueueOffset,
		})
	}
}

func registerProducers(commands map[string]command) {
	var producers sync.Map
	get := func(a args) rocketmq.Producer {
		found, _ := producers.Load(a["name"])
		return found.(rocketmq.Producer)
	}
	commands["producer.start"] = func(a args) (interface{}, error) {
		p, err := rocketmq.NewProducer(
			producer.WithNsResolver(primitive.NewPassthroughResolver([]string{a["namesrv"]})),
			producer.WithGroupName(a["group"]),
			producer.WithInstanceName(a["name"]),
			producer.WithSendMsgTimeout(time.Duration(a.number("sendMsgTimeout", 10_000))*time.Millisecond),
			producer.WithRetry(a.number("retries", 2)),
		)
		if err != nil {
			return nil, err
		}
		if err := p.Start(); err != nil {
			return nil, err
		}
		producers.Store(a["name"], p)
		return "started", nil
	}
	commands["producer.stop"] = func(a args) (interface{}, error) {
		p := get(a)
		producers.Delete(a["name"])
		return "stopped", p.Shutdown()
	}
	commands["producer.send"] = func(a args) (interface{}, error) { return send(get(a), a) }
}

func send(p rocketmq.Producer, a args) (interface{}, error) {
	topic, run, mode := a["topic"], a["run"], a["mode"]
	from := a.number("from", 0)
	to := from + a.number("count", 0)
	t := &tally{status: map[string]int{}, errors: map[string]int{}, samples: []map[string]interface{}{}}
	began := time.Now()
	if mode == "async" {
		sendAsync(p, topic, run, from, to, t)
	} else {
		// Each lane takes a stretch of the numbers, so that within one queue a lane's messages stay in order.
		lanes := a.number("threads", 1)
		var running sync.WaitGroup
		for lane := 0; lane < lanes; lane++ {
			running.Add(1)
			go func(first, last int) {
				defer running.Done()
				sendStretch(p, mode, topic, run, first, last, t)
			}(from+(to-from)*lane/lanes, from+(to-from)*(lane+1)/lanes)
		}
		running.Wait()
	}
	return map[string]interface{}{
		"status": t.status, "errors": t.errors, "samples": t.samples, "millis": time.Since(began).Milliseconds(),
	}, nil
}

func sendStretch(p rocketmq.Producer, mode, topic, run string, first, last int, t *tally) {
	for index := first; index < last; {
		count := 1
		if mode == "batch" {
			count = batchCount
			if last-index < count {
				count = last - index
			}
		}
		messages := make([]*primitive.Message, 0, count)
		for i := index; i < index+count; i++ {
			messages = append(messages, sample(topic, run, i))
		}
		if mode == "oneway" {
			if err := p.SendOneWay(context.Background(), messages...); err != nil {
				t.add(index, count, nil, err)
			}
			// A oneway message that a busy broker refuses is lost by design; 64 a stretch stay below that.
			if index%64 == 0 {
				time.Sleep(3 * time.Millisecond)
			}
		} else {
			result, err := p.SendSync(context.Background(), messages...)
			t.add(index, count, result, err)
		}
		index += count
	}
}

func sendAsync(p rocketmq.Producer, topic, run string, from, to int, t *tally) {
	free := make(chan struct{}, inFlightMax)
	var open sync.WaitGroup
	for i := from; i < to; i++ {
		index := i
		free <- struct{}{}
		open.Add(1)
		err := p.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			t.add(index, 1, result, err)
			<-free
			open.Done()
		}, sample(topic, run, index))
		if err != nil {
			t.add(index, 1, nil, err)
			<-free
			open.Done()
		}
	}
	open.Wait()
}
