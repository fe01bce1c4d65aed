// A message that comes later, by level: 2 is five seconds.
package main

import (
	"context"
	"fmt"
	"os"

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
	p, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName("delay-producers"))
	check(err)
	check(p.Start())
	_, err = p.SendSync(context.Background(), primitive.NewMessage("delay-go", []byte("by level")).WithDelayTimeLevel(2))
	check(err)

	done := make(chan struct{})
	c, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver), consumer.WithGroupName("delay-go-listeners"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	check(c.Subscribe("delay-go", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			waited := messages[0].StoreTimestamp - messages[0].BornTimestamp
			if waited < 5_000 {
				fmt.Printf("%s, too early: %d ms\n", messages[0].Body, waited)
			} else {
				fmt.Printf("%s, after its time\n", messages[0].Body)
			}
			close(done)
			return consumer.ConsumeSuccess, nil
		}))
	check(c.Start())
	<-done
	check(c.Shutdown())
	check(p.Shutdown())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
