//go:build linux

// Command bench measures the figures that Tine promises, beside its peers on the same machine in the same run, and
// prints them as one table. Ratios are what counts: peers take turns, so that whatever else the machine does hits them
// alike.
//
// A figure that is missed is marked MISS and nothing more: it depends on the machine. What makes the exit status 1 is a
// request that failed, a connection that was refused, or a measurement that could not be made.
//
//	go run ./scripts/bench [-quick] [-only rolls,kill,throughput,start,broadcast,small,...] [-list]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type section struct {
	name, about string
	run         func(*bench) error
}

var sections = []section{
	{"rolls", "rolling restarts under load", (*bench).rolls},
	{"kill", "kill -9 of a worker to its replacement serving", (*bench).kill},
	{"throughput", "requests per second", (*bench).throughput},
	{"start", "start to all workers answering; overhead of a rollout", (*bench).start},
	{"broadcast", "a value set in the master to seen by the last worker", (*bench).broadcast},
	{"small", "reading a cached value; a step of the core; status and metrics of 64 workers", (*bench).small},
	{"steer", "one of four workers stuck half of each second", (*bench).steer},
	{"spread", "connections of each worker under an even load", (*bench).spread},
	{"steercost", "what steering costs", (*bench).steercost},
	{"stopped", "new connections of a worker after SIGSTOP and SIGCONT", (*bench).stopped},
	{"standby", "kill -9 of a worker to its standby serving", (*bench).standby},
	{"rollkinds", "rolling restarts under load with each kind of steering", (*bench).rollkinds},
	{"logs", "output of workers: 64 that print, and one that floods", (*bench).logs},
	{"rest", "the master at rest", (*bench).rest},
	{"crash", "kill -9 of the master under load", (*bench).crash},
	{"upgrade", "upgrades of Tine itself under load", (*bench).upgrade},
	{"keeper", "the keeper at rest, and the binary", (*bench).keeper},
	{"many", "hundreds of one-shot apps: start, crash of the master, stop", (*bench).many},
	{"gateway", "what a request costs a gateway, beside other proxies", (*bench).gateway},
	{"container", "kills and upgrades as PID 1 of a container", (*bench).container},
}

func main() {
	only := flag.String("only", "", "sections, separated by commas; all if empty")
	quick := flag.Bool("quick", false, "fewer and shorter measurements: to see that it works")
	list := flag.Bool("list", false, "list the sections")
	flag.Parse()
	if *list {
		for _, s := range sections {
			fmt.Printf("%-11s %s\n", s.name, s.about)
		}
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	os.Exit(run(ctx, *only, *quick))
}

func run(ctx context.Context, only string, quick bool) int {
	chosen, err := choose(only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	b, err := newBench(ctx, quick)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer b.close()
	broken := false
	for _, s := range chosen {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "bench: %s: %s ...\n", s.name, s.about)
		b.table.section = s.name
		if err := s.run(b); err != nil {
			broken = true
			b.table.add(s.about, "", fmt.Sprintf("BROKEN: %v", err), fail)
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %.0f s\n", s.name, time.Since(began).Seconds())
		if ctx.Err() != nil {
			broken = true
			break
		}
	}
	b.table.print(os.Stdout)
	if b.lost > 0 {
		fmt.Printf("\n%d requests or connections were lost that must not be.\n", b.lost)
	}
	if broken || b.lost > 0 {
		return 1
	}
	return 0
}

func choose(only string) ([]section, error) {
	if only == "" {
		return sections, nil
	}
	var chosen []section
	for name := range strings.SplitSeq(only, ",") {
		found := false
		for _, s := range sections {
			if s.name == strings.TrimSpace(name) {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("-only %s: there is no such section; -list shows them", name)
		}
	}
	return chosen, nil
}
