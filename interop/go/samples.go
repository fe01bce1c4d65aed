package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// The messages every peer sends, each a function of its run and its number; interop/programs/samples.ts states the rules.

var tags = []string{"TagA", "TagB", "标签"}

func body(run string, index int) []byte {
	repeats := 2
	if index%40 == 0 {
		repeats = 400
	} else if index%10 == 3 {
		repeats = 40
	}
	unit := fmt.Sprintf("北京αβγ😀-%d;", index%97)
	return []byte(fmt.Sprintf("%s:%d:", run, index) + strings.Repeat(unit, repeats))
}

func keys(run string, index int) []string {
	return []string{fmt.Sprintf("%s-%d", run, index), fmt.Sprintf("%s-group-%d", run, index%100)}
}

func sample(topic, run string, index int) *primitive.Message {
	message := primitive.NewMessage(topic, body(run, index)).WithTag(tags[index%3]).WithKeys(keys(run, index))
	message.Flag = int32(index % 7)
	message.WithProperty("run", run)
	message.WithProperty("index", strconv.Itoa(index))
	message.WithProperty("city", fmt.Sprintf("上海-%d", index))
	return message
}

// fault says what is wrong with a received message; it is empty when the message is exactly what was sent.
func fault(message *primitive.MessageExt) string {
	run := message.GetProperty("run")
	index, err := strconv.Atoi(message.GetProperty("index"))
	switch {
	case err != nil:
		return "no index"
	case !bytes.Equal(message.Body, body(run, index)):
		return fmt.Sprintf("body of %d differs: %d bytes", index, len(message.Body))
	case message.GetTags() != tags[index%3]:
		return fmt.Sprintf("tags of %d: %s", index, message.GetTags())
	// The client puts a blank behind each key.
	case strings.TrimSpace(message.GetKeys()) != strings.Join(keys(run, index), " "):
		return fmt.Sprintf("keys of %d: %s", index, message.GetKeys())
	case message.GetProperty("city") != fmt.Sprintf("上海-%d", index):
		return fmt.Sprintf("city of %d: %s", index, message.GetProperty("city"))
	}
	return ""
}

type queue struct {
	offsets             map[int64]bool
	first, last, latest int64
}

// received is what one consumer got: how many, how often, in which order, and whether each message is intact.
type received struct {
	mutex                              sync.Mutex
	changed                            *sync.Cond
	run                                string
	queues                             map[string]*queue
	indexes                            map[int]bool
	tags                               map[string]int
	faults                             []string
	total, foreign, faulty, disordered int
}

func newReceived(run string) *received {
	r := &received{run: run, queues: map[string]*queue{}, indexes: map[int]bool{}, tags: map[string]int{}, faults: []string{}}
	r.changed = sync.NewCond(&r.mutex)
	return r
}

// add answers whether this is the message's first delivery.
func (r *received) add(message *primitive.MessageExt) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if message.GetProperty("run") != r.run {
		r.foreign++
		return false
	}
	r.total++
	if found := fault(message); found != "" {
		r.faulty++
		if len(r.faults) < 10 {
			r.faults = append(r.faults, found)
		}
	}
	// A message that is consumed again after a failure comes from the group's retry topic, with its own offsets.
	if message.ReconsumeTimes == 0 {
		r.addOffset(message.Queue.BrokerName+"/"+strconv.Itoa(message.Queue.QueueId), message.QueueOffset)
	}
	index, _ := strconv.Atoi(message.GetProperty("index"))
	if r.indexes[index] {
		return false
	}
	r.indexes[index] = true
	r.tags[message.GetTags()]++
	r.changed.Broadcast()
	return true
}

func (r *received) addOffset(name string, offset int64) {
	q, ok := r.queues[name]
	if !ok {
		q = &queue{offsets: map[int64]bool{}, first: offset, last: offset, latest: -1}
		r.queues[name] = q
	}
	if q.offsets[offset] {
		return
	}
	q.offsets[offset] = true
	if offset < q.latest {
		r.disordered++
	} else {
		q.latest = offset
	}
	if offset < q.first {
		q.first = offset
	}
	if offset > q.last {
		q.last = offset
	}
}

func (r *received) await(distinct int, timeout time.Duration) {
	deadline := time.Now().Add(timeout)
	timer := time.AfterFunc(timeout, r.changed.Broadcast)
	defer timer.Stop()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for len(r.indexes) < distinct && time.Now().Before(deadline) {
		r.changed.Wait()
	}
}

func (r *received) report(withIndexes bool) map[string]interface{} {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	gaps := 0
	queues := map[string]int{}
	for name, q := range r.queues {
		gaps += int(q.last-q.first) + 1 - len(q.offsets)
		queues[name] = len(q.offsets)
	}
	tagsSeen := map[string]int{}
	for tag, count := range r.tags {
		tagsSeen[tag] = count
	}
	answer := map[string]interface{}{
		"total": r.total, "distinct": len(r.indexes), "duplicates": r.total - len(r.indexes), "foreign": r.foreign,
		"faulty": r.faulty, "faults": append([]string{}, r.faults...), "disordered": r.disordered, "tags": tagsSeen,
		"queues": queues, "gaps": gaps,
	}
	if withIndexes {
		indexes := make([]int, 0, len(r.indexes))
		for index := range r.indexes {
			indexes = append(indexes, index)
		}
		answer["indexes"] = indexes
	}
	return answer
}
