// A message that exists when a local transaction commits. What the producer does not know, the broker asks about.
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

type orders struct{}

func (orders) ExecuteLocalTransaction(*primitive.Message) primitive.LocalTransactionState {
	// The database did not answer in time, say.
	return primitive.UnknowState
}

func (orders) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	fmt.Printf("asked about: %s\n", message.Body)
	return primitive.CommitMessageState
}

func main() {
	namesrv := "127.0.0.1:9876"
	if len(os.Args) > 1 {
		namesrv = os.Args[1]
	}
	rlog.SetLogLevel("fatal")
	resolver := primitive.NewPassthroughResolver([]string{namesrv})
	p, err := rocketmq.NewTransactionProducer(orders{},
		producer.WithNsResolver(resolver), producer.WithGroupName("transaction-go-producers"))
	check(err)
	check(p.Start())
	_, err = p.SendMessageInTransaction(context.Background(), primitive.NewMessage("transaction-go", []byte("order 42")))
	check(err)

	done := make(chan struct{})
	c, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver),
		consumer.WithGroupName("transaction-go-listeners"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	check(c.Subscribe("transaction-go", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			fmt.Printf("got: %s\n", messages[0].Body)
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
