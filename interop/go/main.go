// A rocketmq-client-go client that is driven from outside. Each line of standard input is a command, its parts separated
// by tabs (id, command, name=value ...), answered by one line of JSON on standard output that carries the id.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type args map[string]string

func (a args) text(name, otherwise string) string {
	if value, ok := a[name]; ok {
		return value
	}
	return otherwise
}

func (a args) number(name string, otherwise int) int {
	value, ok := a[name]
	if !ok {
		return otherwise
	}
	number, err := strconv.Atoi(value)
	if err != nil {
		panic(fmt.Sprintf("argument %s: %v", name, err))
	}
	return number
}

type command func(args) (interface{}, error)

var output sync.Mutex

func answer(commands map[string]command, line string) {
	parts := strings.Split(line, "\t")
	id, _ := strconv.Atoi(parts[0])
	values := args{}
	for _, part := range parts[2:] {
		equals := strings.IndexByte(part, '=')
		values[part[:equals]] = part[equals+1:]
	}
	// The id comes first: by it the reader tells an answer from what the client library prints.
	var response struct {
		ID     int         `json:"id"`
		Result interface{} `json:"result,omitempty"`
		Error  string      `json:"error,omitempty"`
	}
	response.ID = id
	run, ok := commands[parts[1]]
	if !ok {
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
	fmt.Println(string(text))
}

func main() {
	rlog.SetLogLevel("error")
	commands := map[string]command{}
	registerProducers(commands)
	registerConsumers(commands)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		go answer(commands, lines.Text())
	}
}
