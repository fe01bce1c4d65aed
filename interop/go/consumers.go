package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

type subscriber struct {
	client   rocketmq.PushConsumer
	received *received
}

func registerConsumers(commands map[string]command) {
	var consumers sync.Map
	get := func(a args) *subscriber {
		found, _ := consumers.Load(a["name"])
		return found.(*subscriber)
	}
	commands["consumer.start"] = func(a args) (interface{}, error) {
		s, err := subscribe(a)
		if err != nil {
			return nil, err
		}
		consumers.Store(a["name"], s)
		return "started", nil
	}
	commands["consumer.await"] = func(a args) (interface{}, error) {
		r := get(a).received
		r.await(a.number("distinct", 0), time.Duration(a.number("timeout", 60_000))*time.Millisecond)
		return r.report(a["indexes"] == "true"), nil
	}
	commands["consumer.stop"] = func(a args) (interface{}, error) {
		s := get(a)
		consumers.Delete(a["name"])
		if err := s.client.Shutdown(); err != nil {
			return nil, err
		}
		return s.received.report(a["indexes"] == "true"), nil
	}
}

func subscribe(a args) (*subscriber, error) {
	r := newReceived(a["run"])
	failOnce := a.number("failOnce", -1)
	client, err := rocketmq.NewPushConsumer(
		consumer.WithNsResolver(primitive.NewPassthroughResolver([]string{a["namesrv"]})),
		consumer.WithGroupName(a["group"]),
		consumer.WithInstance(a["name"]),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumerOrder(a["orderly"] == "true"),
		consumer.WithConsumeMessageBatchMaxSize(a.number("batch", 1)),
	)
	if err != nil {
		return nil, err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: a.text("tags", "*")}
	err = client.Subscribe(a["topic"], selector,
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				first := r.add(message)
				if first && message.GetProperty("index") == strconv.Itoa(failOnce) {
					if concurrently, ok := primitive.GetConcurrentlyCtx(ctx); ok {
						// Level 1 is one second.
						concurrently.DelayLevelWhenNextConsume = 1
					}
					return consumer.ConsumeRetryLater, nil
				}
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return nil, err
	}
	if err := client.Start(); err != nil {
		return nil, err
	}
	return &subscriber{client: client, received: r}, nil
}
