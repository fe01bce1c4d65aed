// Each member of a group gets each message. What fails does not come again, and each member keeps its own offsets.
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
	p, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName("broadcast-producers"))
	check(err)
	check(p.Start())
	_, err = p.SendSync(context.Background(), primitive.NewMessage("broadcast-go", []byte("to all")))
	check(err)

	var both sync.WaitGroup
	both.Add(2)
	for _, member := range []string{"one", "two"} {
		c, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver),
			consumer.WithGroupName("broadcast-go-listeners"),
			consumer.WithInstance(member),
			consumer.WithConsumerModel(consumer.BroadCasting),
			consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
		check(err)
		check(c.Subscribe("broadcast-go", consumer.MessageSelector{},
			func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
				fmt.Printf("%s got: %s\n", member, messages[0].Body)
				both.Done()
				return consumer.ConsumeSuccess, nil
			}))
		check(c.Start())
	}
	both.Wait()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
