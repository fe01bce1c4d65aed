// rocketmq-clients/golang/v5, Apache's client of the gRPC protocol for Go, behind the commands of ../grpc-suite.ts. Each
// line of standard input is a command, its parts separated by tabs (id, command, name=value ...), answered by one line of
// JSON on standard output that carries the id.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	"github.com/apache/rocketmq-clients/golang/v5/credentials"
	v2 "github.com/apache/rocketmq-clients/golang/v5/protocol/v2"
)

const (
	awaitDuration = 5 * time.Second
	sendTimeout   = 10 * time.Second
)

type args map[string]string

func (a args) number(name string, otherwise int) int {
	number, err := strconv.Atoi(a[name])
	if err != nil {
		return otherwise
	}
	return number
}

type shown struct {
	ID         string            `json:"id"`
	Body       string            `json:"body"`
	Digest     string            `json:"digest"`
	Tag        string            `json:"tag"`
	Keys       string            `json:"keys"`
	Attempt    int32             `json:"attempt"`
	Properties map[string]string `json:"properties"`
}

type sent struct {
	ID     string `json:"id"`
	Handle string `json:"handle"`
}

type pushed struct {
	consumer rmq.PushConsumer
	received []shown
}

var (
	lock      sync.Mutex
	producers = map[string]rmq.Producer{}
	simples   = map[string]rmq.SimpleConsumer{}
	held      = map[string]*rmq.MessageView{}
	pushes    = map[string]*pushed{}
)

func config(a args) *rmq.Config {
	return &rmq.Config{
		Endpoint:      a["endpoints"],
		ConsumerGroup: a["group"],
		Credentials:   &credentials.SessionCredentials{},
	}
}

func subscription(a args) map[string]*rmq.FilterExpression {
	if a["sql"] != "" {
		return map[string]*rmq.FilterExpression{a["topic"]: rmq.NewFilterExpressionWithType(a["sql"], rmq.SQL92)}
	}
	if a["tag"] != "" {
		return map[string]*rmq.FilterExpression{a["topic"]: rmq.NewFilterExpression(a["tag"])}
	}
	return map[string]*rmq.FilterExpression{a["topic"]: rmq.SUB_ALL}
}

func show(view *rmq.MessageView) shown {
	tag := ""
	if view.GetTag() != nil {
		tag = *view.GetTag()
	}
	digest := sha256.Sum256(view.GetBody())
	return shown{
		ID:         view.GetMessageId(),
		Body:       string(view.GetBody()),
		Digest:     hex.EncodeToString(digest[:]),
		Tag:        tag,
		Keys:       strings.Join(view.GetKeys(), " "),
		Attempt:    view.GetDeliveryAttempt(),
		Properties: view.GetProperties(),
	}
}

func message(a args, index int) *rmq.Message {
	body := fmt.Sprintf("%s-%d", a["prefix"], index)
	if short := a.number("size", 0) - len(body); short > 0 {
		body += strings.Repeat(".", short)
	}
	one := &rmq.Message{Topic: a["topic"], Body: []byte(body)}
	one.SetKeys(fmt.Sprintf("key-%d", index))
	one.AddProperty("index", strconv.Itoa(index))
	if a["tag"] != "" {
		one.SetTag(a["tag"])
	}
	if groups := a.number("groups", 0); groups > 0 {
		one.SetMessageGroup(fmt.Sprintf("group-%d", index%groups))
	}
	if delay := a.number("delayMs", 0); delay > 0 {
		one.SetDelayTimestamp(time.Now().Add(time.Duration(delay) * time.Millisecond))
	}
	return one
}

func startProducer(a args) (interface{}, error) {
	resolution := map[string]rmq.TransactionResolution{"commit": rmq.COMMIT, "rollback": rmq.ROLLBACK}[a["check"]]
	checker := &rmq.TransactionChecker{
		Check: func(*rmq.MessageView) rmq.TransactionResolution { return resolution },
	}
	producer, err := rmq.NewProducer(config(a), rmq.WithTopics(a["topic"]), rmq.WithTransactionChecker(checker))
	if err != nil {
		return nil, err
	}
	if err := producer.Start(); err != nil {
		return nil, err
	}
	lock.Lock()
	defer lock.Unlock()
	producers[a["name"]] = producer
	return nil, nil
}

func sendOne(producer rmq.Producer, one *rmq.Message, resolve string) ([]*rmq.SendReceipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
	defer cancel()
	if resolve == "" {
		return producer.Send(ctx, one)
	}
	transaction := producer.BeginTransaction()
	receipts, err := producer.SendWithTransaction(ctx, one, transaction)
	if err != nil {
		return nil, err
	}
	switch resolve {
	case "commit":
		err = transaction.Commit()
	case "rollback":
		err = transaction.RollBack()
	}
	return receipts, err
}

func send(a args) (interface{}, error) {
	lock.Lock()
	producer := producers[a["name"]]
	lock.Unlock()
	all := []sent{}
	for index := 0; index < a.number("count", 1); index++ {
		receipts, err := sendOne(producer, message(a, index), a["resolve"])
		if err != nil {
			return nil, err
		}
		all = append(all, sent{ID: receipts[0].MessageID})
	}
	return all, nil
}

func stopProducer(a args) (interface{}, error) {
	lock.Lock()
	producer := producers[a["name"]]
	delete(producers, a["name"])
	lock.Unlock()
	return nil, producer.GracefulStop()
}

func startSimple(a args) (interface{}, error) {
	options := []rmq.SimpleConsumerOption{
		rmq.WithSimpleAwaitDuration(awaitDuration),
		rmq.WithSimpleSubscriptionExpressions(subscription(a)),
	}
	consumer, err := rmq.NewSimpleConsumer(config(a), options...)
	if err != nil {
		return nil, err
	}
	if err := consumer.Start(); err != nil {
		return nil, err
	}
	lock.Lock()
	defer lock.Unlock()
	simples[a["name"]] = consumer
	return nil, nil
}

func simple(a args) (rmq.SimpleConsumer, *rmq.MessageView) {
	lock.Lock()
	defer lock.Unlock()
	return simples[a["name"]], held[a["name"]+"/"+a["id"]]
}

func receive(a args) (interface{}, error) {
	consumer, _ := simple(a)
	invisible := time.Duration(a.number("invisibleMs", 15_000)) * time.Millisecond
	views, err := consumer.Receive(context.Background(), int32(a.number("max", 32)), invisible)
	var status *rmq.ErrRpcStatus
	if errors.As(err, &status) && status.Code == int32(v2.Code_MESSAGE_NOT_FOUND) {
		return []shown{}, nil
	}
	if err != nil {
		return nil, err
	}
	all := []shown{}
	lock.Lock()
	defer lock.Unlock()
	for _, view := range views {
		held[a["name"]+"/"+view.GetMessageId()] = view
		all = append(all, show(view))
	}
	return all, nil
}

func startPush(a args) (interface{}, error) {
	one := &pushed{}
	consume := func(view *rmq.MessageView) rmq.ConsumerResult {
		lock.Lock()
		defer lock.Unlock()
		got := show(view)
		one.received = append(one.received, got)
		if a["fail"] == "always" || (a["fail"] == "once" && got.Attempt == 1) {
			return rmq.FAILURE
		}
		return rmq.SUCCESS
	}
	consumer, err := rmq.NewPushConsumer(config(a),
		rmq.WithPushAwaitDuration(awaitDuration),
		rmq.WithPushSubscriptionExpressions(subscription(a)),
		rmq.WithPushMessageListener(&rmq.FuncMessageListener{Consume: consume}),
	)
	if err != nil {
		return nil, err
	}
	one.consumer = consumer
	lock.Lock()
	pushes[a["name"]] = one
	lock.Unlock()
	return nil, consumer.Start()
}

var commands = map[string]func(args) (interface{}, error){
	"producer.start": startProducer,
	"producer.send":  send,
	"producer.stop":  stopProducer,
	"simple.start":   startSimple,
	"simple.receive": receive,
	"simple.ack": func(a args) (interface{}, error) {
		consumer, view := simple(a)
		return nil, consumer.Ack(context.Background(), view)
	},
	"simple.change": func(a args) (interface{}, error) {
		consumer, view := simple(a)
		return nil, consumer.ChangeInvisibleDuration(view, time.Duration(a.number("ms", 0))*time.Millisecond)
	},
	"simple.stop": func(a args) (interface{}, error) {
		consumer, _ := simple(a)
		return nil, consumer.GracefulStop()
	},
	"push.start": startPush,
	"push.received": func(a args) (interface{}, error) {
		lock.Lock()
		defer lock.Unlock()
		return append([]shown{}, pushes[a["name"]].received...), nil
	},
	"push.stop": func(a args) (interface{}, error) {
		lock.Lock()
		one := pushes[a["name"]]
		lock.Unlock()
		return nil, one.consumer.GracefulStop()
	},
}

var output sync.Mutex

func answer(answers *os.File, line string) {
	parts := strings.Split(line, "\t")
	id, _ := strconv.Atoi(parts[0])
	values := args{}
	for _, part := range parts[2:] {
		name, value, _ := strings.Cut(part, "=")
		values[name] = value
	}
	// The id comes first: by it the reader tells an answer from what the client library prints.
	var response struct {
		ID     int         `json:"id"`
		Result interface{} `json:"result,omitempty"`
		Error  string      `json:"error,omitempty"`
	}
	response.ID = id
	if run, ok := commands[parts[1]]; !ok {
		response.Error = "unknown command " + parts[1]
	} else if result, err := run(values); err != nil {
		response.Error = err.Error()
	} else {
		response.Result = result
	}
	text, err := json.Marshal(response)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Fprintln(answers, string(text))
}

func main() {
	answers := os.Stdout
	// What the client prints must not stand between the answers.
	os.Stdout = os.Stderr
	rmq.EnableSsl = false
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		go answer(answers, lines.Text())
	}
}
