// The steps of one order go to one queue, and a group has one listener at a time on each queue.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

func main() {
	namesrv := "127.0.0.1:9876"
	if len(os.Args) > 1 {
		namesrv = os.Args[1]
	}
	rlog.SetLogLevel("fatal")
	resolver := primitive.NewPassthroughResolver([]string{namesrv})
	p, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName("orderly-producers"),
		producer.WithQueueSelector(producer.NewHashQueueSelector()))
	check(err)
	check(p.Start())
	for _, step := range []string{"created", "paid", "sent"} {
		message := primitive.NewMessage("orderly-go", []byte(step))
		message.WithShardingKey("order-42")
		_, err = p.SendSync(context.Background(), message)
		check(err)
	}

	var three sync.WaitGroup
	three.Add(3)
	c, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver), consumer.WithGroupName("orderly-go-listeners"),
		consumer.WithConsumerOrder(true), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	check(c.Subscribe("orderly-go", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				fmt.Printf("%s\n", message.Body)
				three.Done()
			}
			return consumer.ConsumeSuccess, nil
		}))
	check(c.Start())
	three.Wait()
	check(c.Shutdown())
	check(p.Shutdown())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
