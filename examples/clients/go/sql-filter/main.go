// The broker looks at the properties of a message, and gives a group what it asks for.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
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
	p, err := rocketmq.NewProducer(producer.WithNsResolver(resolver), producer.WithGroupName("filter-producers"))
	check(err)
	check(p.Start())
	for price := 10; price <= 50; price += 10 {
		message := primitive.NewMessage("filter-go", []byte("price "+strconv.Itoa(price)))
		message.WithProperty("price", strconv.Itoa(price))
		_, err = p.SendSync(context.Background(), message)
		check(err)
	}

	var two sync.WaitGroup
	two.Add(2)
	c, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(resolver), consumer.WithGroupName("filter-go-listeners"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	check(err)
	selector := consumer.MessageSelector{Type: consumer.SQL92, Expression: "price BETWEEN 30 AND 40"}
	check(c.Subscribe("filter-go", selector,
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				fmt.Printf("%s\n", message.Body)
				two.Done()
			}
			return consumer.ConsumeSuccess, nil
		}))
	check(c.Start())
	two.Wait()
	check(c.Shutdown())
	check(p.Shutdown())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
