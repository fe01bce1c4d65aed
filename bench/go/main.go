// The second load generator: `load JSON`, where JSON is a SendJob or a PullJob of bench/load/job.ts. It prints one line of
// JSON, a LoadResult, and exits with 1 when a connection broke, an answer was not expected or a record was missing.
// It is written apart from the Node generator, so that the habits of neither decide what a broker shows: other header
// fields, another order, no unique key, one goroutine a connection. Standard library alone.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type job struct {
	Kind        string  `json:"kind"`
	Host        string  `json:"host"`
	Port        int     `json:"port"`
	BrokerPid   int     `json:"brokerPid"`
	Topic       string  `json:"topic"`
	QueueCount  int     `json:"queueCount"`
	Connections int     `json:"connections"`
	WarmupMs    int     `json:"warmupMs"`
	DurationMs  int     `json:"durationMs"`
	InFlight    int     `json:"inFlight"`
	BodySize    int     `json:"bodySize"`
	BatchSize   int     `json:"batchSize"`
	MinOffsets  []int64 `json:"minOffsets"`
	MaxOffsets  []int64 `json:"maxOffsets"`
}

// Phases of a run: what is answered in the second one alone is counted.
const (
	warming int32 = iota
	measuring
	draining
)

const drainTimeout = 15 * time.Second

// load is what all connections of one run share.
type load struct {
	job
	phase atomic.Int32
}

// tally is what one connection saw; nobody else touches it before the connection has ended.
type tally struct {
	latency    histogram
	refusals   map[int]int
	count      int64
	unexpected int64
	unanswered int64
	err        error
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: load JSON"))
	}
	run := &load{}
	if err := json.Unmarshal([]byte(os.Args[1]), &run.job); err != nil {
		fail(err)
	}
	result, err := measure(run)
	if err != nil {
		fail(err)
	}
	line, err := json.Marshal(result)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
	if result.Unexpected > 0 || result.Unanswered > 0 {
		fail(fmt.Errorf("%d unexpected answers or records, %d requests without an answer", result.Unexpected, result.Unanswered))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}

type result struct {
	Count                    int64          `json:"count"`
	Seconds                  float64        `json:"seconds"`
	PerSecond                float64        `json:"perSecond"`
	BrokerCpuUsPerMessage    *float64       `json:"brokerCpuUsPerMessage"`
	BrokerSystemUsPerMessage *float64       `json:"brokerSystemUsPerMessage"`
	LoadCpuUsPerMessage      float64        `json:"loadCpuUsPerMessage"`
	Memory                   *memory        `json:"memory,omitempty"`
	Latency                  summary        `json:"latency"`
	Refusals                 map[string]int `json:"refusals"`
	Unexpected               int64          `json:"unexpected"`
	Unanswered               int64          `json:"unanswered"`
}

func measure(run *load) (*result, error) {
	tallies := make([]*tally, run.Connections)
	conns := make([]*connection, run.Connections)
	for index := range conns {
		conn, err := dial(run)
		if err != nil {
			return nil, err
		}
		conns[index] = conn
		tallies[index] = &tally{refusals: map[int]int{}}
	}
	failed := make(chan error, run.Connections)
	var done sync.WaitGroup
	for index, conn := range conns {
		done.Add(1)
		go func(index int, conn *connection) {
			defer done.Done()
			if run.Kind == "pull" {
				tallies[index].err = pull(run, conn, index, tallies[index])
			} else {
				tallies[index].err = send(run, conn, index, tallies[index])
			}
			if tallies[index].err != nil {
				failed <- tallies[index].err
			}
		}(index, conn)
	}
	wait := func(milliseconds int) error {
		select {
		case err := <-failed:
			return err
		case <-time.After(time.Duration(milliseconds) * time.Millisecond):
			return nil
		}
	}
	if err := wait(run.WarmupMs); err != nil {
		return nil, err
	}
	run.phase.Store(measuring)
	startedAt := time.Now()
	ownBefore, brokerBefore := ownCpuMs(), brokerCpu(run.BrokerPid)
	if err := wait(run.DurationMs); err != nil {
		return nil, err
	}
	run.phase.Store(draining)
	seconds := time.Since(startedAt).Seconds()
	own, broker := ownCpuMs()-ownBefore, brokerCpu(run.BrokerPid)
	memory := memoryOf(run.BrokerPid)
	for _, conn := range conns {
		conn.socket.SetReadDeadline(time.Now().Add(drainTimeout))
	}
	done.Wait()

	all := &result{Seconds: seconds, Memory: memory, Refusals: map[string]int{}}
	var latency histogram
	for _, one := range tallies {
		if one.err != nil {
			return nil, one.err
		}
		all.Count += one.count
		all.Unexpected += one.unexpected
		all.Unanswered += one.unanswered
		latency.add(&one.latency)
		for code, count := range one.refusals {
			all.Refusals[fmt.Sprint(code)] += count
		}
	}
	all.PerSecond = float64(all.Count) / seconds
	all.LoadCpuUsPerMessage = own * 1000 / float64(all.Count)
	if run.BrokerPid > 0 && all.Count > 0 {
		system := (broker.system - brokerBefore.system) * 1000 / float64(all.Count)
		whole := system + (broker.user-brokerBefore.user)*1000/float64(all.Count)
		all.BrokerCpuUsPerMessage, all.BrokerSystemUsPerMessage = &whole, &system
	}
	all.Latency = latency.summary()
	return all, nil
}
