// Several messages in one request: stored one behind the other in one queue, or none of them.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

func main() {
	namesrv := "127.0.0.1:9876"
	if len(os.Args) > 1 {
		namesrv = os.Args[1]
	}
	rlog.SetLogLevel("error")
	p, err := rocketmq.NewProducer(
		producer.WithNsResolver(primitive.NewPassthroughResolver([]string{namesrv})),
		producer.WithGroupName("batch-producers"),
	)
	check(err)
	check(p.Start())
	result, err := p.SendSync(context.Background(),
		primitive.NewMessage("batch-go", []byte("first")).WithTag("TagA"),
		primitive.NewMessage("batch-go", []byte("second")).WithTag("TagB"),
		primitive.NewMessage("batch-go", []byte("third")).WithTag("TagA"),
	)
	check(err)
	if result.Status != primitive.SendOK {
		panic(result.String())
	}
	fmt.Printf("SEND_OK, %d messages\n", len(strings.Split(result.OffsetMsgID, ",")))
	check(p.Shutdown())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
