//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const fanoutWorkers = 32

// latencies, endurance and copies are what the program fanout prints.
type latencies struct {
	NS []int64 `json:"ns"`
}

type endurance struct {
	Rate     float64 `json:"rate"`
	Early    int64   `json:"early"`
	Late     int64   `json:"late"`
	CaughtMS float64 `json:"caught_ms"`
}

type copies struct {
	Value  int64 `json:"value"`
	Growth int64 `json:"growth"`
	Mapped int64 `json:"mapped"`
}

// broadcast has Tine and Node cluster send the same values to as many workers, in turns.
func (b *bench) broadcast() error {
	node := b.has("node", "broadcast by worker.send of Node cluster")
	for _, v := range []struct {
		name   string
		bytes  int
		pause  time.Duration
		target float64
	}{
		{"small", 0, 20 * time.Millisecond, 4},
		{"64 KiB", 64 << 10, 40 * time.Millisecond, 8},
	} {
		var tine, other []int64
		for range b.times(3, 1) {
			l, err := b.fanoutLatency(v.bytes, v.pause)
			if err != nil {
				return err
			}
			tine = append(tine, l.NS...)
			if !node {
				continue
			}
			if l, err = b.nodeLatency(v.bytes, v.pause); err != nil {
				return err
			}
			other = append(other, l.NS...)
		}
		figure := fmt.Sprintf("set to seen by the last of %d, %s", fanoutWorkers, v.name)
		of := time.Duration(median(tine))
		b.table.add(figure, "", fmt.Sprintf("median %s, p99 %s", ms(of), ms(time.Duration(quantile(tine, 0.99)))), info)
		if node {
			ratio := float64(median(other)) / float64(of)
			b.table.add("the same to Node cluster's worker.send", fmt.Sprintf(">= %.0fx", v.target),
				fmt.Sprintf("%.1fx faster (%s)", ratio, ms(time.Duration(median(other)))), verdictOf(ratio >= v.target))
		}
	}
	if err := b.fanoutEndurance(); err != nil {
		return err
	}
	return b.fanoutCopies()
}

func (b *bench) fanoutLatency(size int, pause time.Duration) (l latencies, err error) {
	err = b.fanout(&l, "latency", "-values", strconv.Itoa(b.times(100, 30)), "-bytes", strconv.Itoa(size), "-pause", pause.String())
	return l, err
}

func (b *bench) nodeLatency(size int, pause time.Duration) (l latencies, err error) {
	c := exec.CommandContext(b.ctx, "node", filepath.Join(b.dir, "broadcast.js"), strconv.Itoa(fanoutWorkers),
		strconv.Itoa(b.times(100, 30)), strconv.Itoa(size), strconv.Itoa(int(pause.Milliseconds())))
	return l, output(c, &l)
}

func (b *bench) fanoutEndurance() error {
	for _, v := range []struct {
		name   string
		bytes  int
		target string
		rate   float64
	}{{"small", 16, "5000/s, no growth", 4900}, {"64 KiB", 64 << 10, "no growth", 0}} {
		var e endurance
		span := time.Duration(b.times(8, 3)) * time.Second
		if err := b.fanout(&e, "sustained", "-rate", "5000", "-bytes", strconv.Itoa(v.bytes), "-for", span.String()); err != nil {
			return err
		}
		grew := float64(e.Late-e.Early) / (1 << 20)
		ok := e.Rate > v.rate && grew < 2+float64(e.Early)/(1<<20)/10
		b.table.add("5,000 updates/s to "+strconv.Itoa(fanoutWorkers)+", "+v.name, v.target,
			fmt.Sprintf("%.0f/s, master %.0f MB, %+.1f MB in the second half, all caught up in %.0f ms", e.Rate, float64(e.Early)/(1<<20), grew, e.CaughtMS), verdictOf(ok))
	}
	return nil
}

func (b *bench) fanoutCopies() error {
	var c copies
	if err := b.fanout(&c, "large", "-bytes", strconv.Itoa(64<<20)); err != nil {
		return err
	}
	ratio := float64(c.Growth) / float64(c.Value)
	b.table.add(fmt.Sprintf("64 MiB to %d workers, growth of all PSS", fanoutWorkers), "one copy",
		fmt.Sprintf("%.2f copies (%.0f MiB mapped)", ratio, float64(c.Mapped)/(1<<20)), verdictOf(ratio < 1.5))
	return nil
}

func (b *bench) fanout(result any, args ...string) error {
	args = append([]string{"-n", strconv.Itoa(fanoutWorkers)}, args...)
	return output(exec.CommandContext(b.ctx, filepath.Join(b.dir, "fanout"), args...), result)
}

// output runs c and decodes the JSON that it prints. Interrupted, it is asked to end: it has processes of its own.
func output(c *exec.Cmd, result any) error {
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	c.WaitDelay = 5 * time.Second
	if err := c.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", c.Args, err, complaint.String())
	}
	if err := json.Unmarshal(out.Bytes(), result); err != nil {
		return fmt.Errorf("%v printed %.200q: %w", c.Args, out.String(), err)
	}
	return nil
}
