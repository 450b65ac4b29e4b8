//go:build linux

// Command fanout is a master and its workers in one program, on the public packages, that measures how a cached value
// gets from the one to the others. It prints one JSON object and is run by the bench.
//
//	fanout -n 32 latency -values 200 -bytes 65536 -pause 20ms
//	fanout -n 32 sustained -bytes 16 -rate 5000 -for 5s
//	fanout -n 32 large -bytes 67108864
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/supervisor"
)

// key is the value that is broadcast; reportTopic asks the workers what they have seen of it, and answers.
const (
	key         = "value"
	reportTopic = "report"
)

// limit bounds the whole run.
const limit = 2 * time.Minute

func main() {
	var err error
	if supervisor.IsWorker() {
		err = work()
	} else {
		err = measure()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

func measure() error {
	workers := flag.Int("n", 32, "workers")
	flag.Parse()
	rest := flag.Args()
	if len(rest) == 0 {
		return errors.New("latency, sustained or large?")
	}
	kind := flag.NewFlagSet(rest[0], flag.ExitOnError)
	values := kind.Int("values", 100, "values to set")
	size := kind.Int("bytes", 0, "bytes of a value")
	pause := kind.Duration("pause", 20*time.Millisecond, "between two values")
	rate := kind.Int("rate", 5000, "values a second")
	span := kind.Duration("for", 5*time.Second, "how long")
	_ = kind.Parse(rest[1:])

	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	m, err := startMaster(ctx, *workers)
	if err != nil {
		return err
	}
	var result any
	switch rest[0] {
	case "latency":
		result, err = m.latency(ctx, *values, *size, *pause)
	case "sustained":
		result, err = m.sustained(ctx, *rate, *size, *span)
	case "large":
		result, err = m.large(ctx, *size)
	default:
		err = fmt.Errorf("%s: latency, sustained or large", rest[0])
	}
	if serr := m.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// clock is the same in all processes of the machine.
func clock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}
