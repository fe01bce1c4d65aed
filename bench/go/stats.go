package main

import (
	"math/bits"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// histogram has the buckets of bench/load/histogram.ts: exact below 128 µs, at most 1.6 % wide above.
type histogram struct {
	counts [128 + 24*64]int64
	count  int64
	sum    int64
	max    int64
}

type summary struct {
	Count  int64   `json:"count"`
	MeanUs float64 `json:"meanUs"`
	P50Us  int64   `json:"p50Us"`
	P99Us  int64   `json:"p99Us"`
	P999Us int64   `json:"p999Us"`
	MaxUs  int64   `json:"maxUs"`
}

func (h *histogram) record(micros int64) {
	value := min(max(micros, 0), 1<<31-1)
	h.counts[bucketOf(value)]++
	h.count++
	h.sum += value
	h.max = max(h.max, value)
}

func (h *histogram) add(other *histogram) {
	for index, count := range other.counts {
		h.counts[index] += count
	}
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

func (h *histogram) quantile(share float64) int64 {
	wanted := max(1, int64(float64(h.count)*share+0.999999))
	var seen int64
	for index, count := range h.counts {
		if seen += count; seen >= wanted {
			return min(upperBoundOf(index), h.max)
		}
	}
	return h.max
}

func (h *histogram) summary() summary {
	mean := 0.0
	if h.count > 0 {
		mean = float64(h.sum) / float64(h.count)
	}
	return summary{h.count, mean, h.quantile(0.5), h.quantile(0.99), h.quantile(0.999), h.max}
}

func bucketOf(value int64) int {
	if value < 128 {
		return int(value)
	}
	exponent := bits.Len64(uint64(value)) - 1
	return 128 + (exponent-7)*64 + int(value>>(exponent-6))&63
}

func upperBoundOf(index int) int64 {
	if index < 128 {
		return int64(index)
	}
	exponent, sub := 7+(index-128)/64, (index-128)%64
	return int64(64+sub+1)<<(exponent-6) - 1
}

type cpuTimes struct{ user, system float64 }

// brokerCpu is user and system time of a process since its start, milliseconds. Ticks are 10 ms.
func brokerCpu(pid int) cpuTimes {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return cpuTimes{}
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return cpuTimes{user * 10, system * 10}
}

func ownCpuMs() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	of := func(t syscall.Timeval) float64 { return float64(t.Sec)*1000 + float64(t.Usec)/1000 }
	return of(usage.Utime) + of(usage.Stime)
}

type memory struct {
	RssAnonMiB float64 `json:"rssAnonMiB"`
	RssMiB     float64 `json:"rssMiB"`
}

func memoryOf(pid int) *memory {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return nil
	}
	found := &memory{}
	for _, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "RssAnon:":
			found.RssAnonMiB = kib / 1024
		case "VmRSS:":
			found.RssMiB = kib / 1024
		}
	}
	return found
}
