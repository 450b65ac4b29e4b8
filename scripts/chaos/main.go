package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.DurationVar(&o.duration, "for", time.Minute, "how long")
	flag.Uint64Var(&o.seed, "seed", 0, "of everything random; 0: a new one")
	flag.BoolVar(&o.verbose, "v", false, "print each action and the master's log")
	flag.BoolVar(&o.kill, "kill", true, "kill -9 workers too; without it no failure at all is excused")
	flag.BoolVar(&o.upgrade, "upgrade", true, "upgrade Tine itself too")
	flag.BoolVar(&o.long, "long", false, "also stream answers for longer than drain_delay (see the package's documentation)")
	flag.StringVar(&o.tine, "tine", "bin/tine", "Tine's binary")
	flag.StringVar(&o.demo, "demo", "bin/demo", "the demo's binary")
	flag.StringVar(&o.logFile, "log", "", "`FILE` for the log of the run, as it comes")
	quick := flag.Bool("quick", false, "only 5 s")
	flag.Parse()
	if *quick {
		o.duration = 5 * time.Second
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	o.out = os.Stdout
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	o.interrupted = interrupted

	fmt.Printf("chaos: seed %d, %v, %v\n", o.seed, o.duration, wayOf(o.seed))
	r, err := run(o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: seed %d: %v\n", o.seed, err)
		os.Exit(1)
	}
	r.print(os.Stdout)
	if !r.passed() {
		os.Exit(1)
	}
}
