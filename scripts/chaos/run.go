package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

const (
	workers     = 4
	drainDelay  = time.Second
	clients     = 32
	openLoop    = 1000.0 // requests a second of all clients that are not closed loops
	answerLimit = 20 * time.Second
	settleLimit = 30 * time.Second
	stopLimit   = 10 * time.Second
)

type options struct {
	duration      time.Duration
	seed          uint64
	verbose, kill bool
	long          bool // answers that outlast a drain's delay too
	race          bool // the master is built with the race detector: its memory says nothing
	tine, demo    string
	out           io.Writer
	interrupted   <-chan os.Signal
}

// run does everything; an error says that it could not be done, not that it went
// badly.
func run(o options) (*report, error) {
	dir, err := os.MkdirTemp("", "tine-chaos-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for the run: %w", err)
	}
	defer os.RemoveAll(dir)
	j := newJournal(o.verbose, o.out)
	m, err := startMaster(o, dir, j)
	if err != nil {
		return nil, err
	}
	defer m.end()
	if err := m.waitReady(settleLimit); err != nil {
		return nil, err
	}
	r := &report{options: o, journal: j, started: time.Now()}
	if r.before, err = m.atRest(); err != nil {
		return nil, err
	}

	judge := &judge{journal: j}
	load := startLoad(o, m.address, judge)
	monkey := &monkey{master: m, journal: j, judge: judge, kill: o.kill, steps: rand.New(rand.NewPCG(o.seed, 1))}
	monkey.play(o.duration, o.interrupted)
	load.stop()

	r.problem(m.settle(settleLimit))
	if r.after, err = m.atRest(); err != nil {
		r.problem(err)
	}
	r.problem(r.compare())
	r.problem(m.allServe(settleLimit))

	// The stop, under load again.
	load.resume()
	time.Sleep(min(o.duration/10, time.Second))
	load.lastRequest()
	j.act("SIGTERM to the master")
	r.stopTook, err = m.stop(stopLimit)
	r.problem(err)
	load.wait()
	r.problem(m.leftovers())
	r.problem(errors.Join(m.complaints()...))

	r.load, r.monkey, r.judge, r.log = load.counts(), monkey.counts, judge, m.counts()
	return r, nil
}
