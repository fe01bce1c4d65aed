// A message that could not be processed comes again, ten seconds later at first, then later each time.
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
	p, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName("retry-producers"))
	check(err)
	check(p.Start())
	_, err = p.SendSync(context.Background(), primitive.NewMessage("retry-go", []byte("difficult")))
	check(err)

	done := make(chan struct{})
	c, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver), consumer.WithGroupName("retry-go-listeners"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	check(c.Subscribe("retry-go", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			tries := messages[0].ReconsumeTimes
			fmt.Printf("try %d: %s\n", tries+1, messages[0].Body)
			if tries == 0 {
				return consumer.ConsumeRetryLater, nil
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
