// A question to whoever listens, and the answer to who asked. The topic has to be there: vernier topic create request-go.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

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
	p, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName("request-producers"))
	check(err)
	check(p.Start())
	c, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver), consumer.WithGroupName("request-go-listeners"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	check(c.Subscribe("request-go", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			// A producer of this client is known to the broker from its first heartbeat on; until then nobody can answer it.
			time.Sleep(time.Second)
			reply, err := consumer.CreateReplyMessage(messages[0], nil)
			check(err)
			// Version 2.1.2 of the client forgets the body that it is given there.
			reply.Body = append(messages[0].Body, " 42"...)
			_, err = p.SendSync(context.Background(), reply)
			check(err)
			return consumer.ConsumeSuccess, nil
		}))
	check(c.Start())

	reply, err := p.Request(context.Background(), 60*time.Second, primitive.NewMessage("request-go", []byte("six by seven?")))
	check(err)
	fmt.Printf("%s\n", reply.Body)
	check(c.Shutdown())
	check(p.Shutdown())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
