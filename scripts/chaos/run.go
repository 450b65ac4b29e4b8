package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

const (
	workers    = 4
	drainDelay = time.Second
	clients    = 32
	openLoop   = 1000.0 // requests a second of all clients that are not closed loops
	// printRate is how many numbered lines each worker prints a second, now and then one in two halves, so that a master is
	// also killed while half a line is in a pipe.
	printRate   = 50
	answerLimit = 20 * time.Second
	settleLimit = 30 * time.Second
	stopLimit   = 10 * time.Second
)

type options struct {
	duration      time.Duration
	seed          uint64
	verbose, kill bool
	upgrade       bool
	long          bool // answers that outlast a drain's delay too
	race          bool // the master is built with the race detector: its memory is not compared
	tine, demo    string
	logFile       string // empty: it is not kept
	out           io.Writer
	interrupted   <-chan os.Signal
}

// run does everything. It returns an error if the run could not be made; what the run
// found is in the report.
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
	if err := m.writeBad(); err != nil {
		return nil, err
	}
	r := &report{options: o, journal: j, started: time.Now(), storm: calm{name: "kills of the master"}, upgrades: calm{name: "upgrades in a row"}}
	if r.before, err = m.atRest(); err != nil {
		return nil, err
	}
	if o.kill {
		if err := r.firstKill(m); err != nil {
			return nil, err
		}
	}

	judge := &judge{journal: j}
	load := startLoad(o, m.address, judge)
	monkey := &monkey{
		master: m, journal: j, judge: judge, load: load, kill: o.kill, slow: o.duration >= slowRun, upgrades: o.upgrade && m.canUpgrade(),
		steps: rand.New(rand.NewPCG(o.seed, 1)), rand: rand.New(rand.NewPCG(o.seed, 4)),
	}
	monkey.play(o.duration, o.interrupted)
	load.stop()

	r.problem(m.settle(settleLimit))
	if r.after, err = m.atRest(); err != nil {
		r.problem(err)
	}
	r.problem(r.compare())
	r.problem(m.allServe(settleLimit))

	// The phases that touch only the master, under load.
	if o.kill {
		d := min(30*time.Second, o.duration/2)
		r.problem(r.calmly(m, load, func() error { return monkey.storm(d, &r.storm, o.interrupted) }))
	}
	if monkey.upgrades {
		n := min(10, int(o.duration/time.Second))
		r.problem(r.calmly(m, load, func() error { return monkey.upgradeOften(n, &r.upgrades) }))
	}

	// The stop, under load again.
	load.resume()
	time.Sleep(min(o.duration/10, time.Second))
	load.lastRequest()
	j.act("SIGTERM to the keeper")
	r.stopTook, err = m.stop(stopLimit)
	r.problem(err)
	load.wait()
	r.problem(m.leftovers())
	m.closeLog()
	r.problem(errors.Join(m.complaints()...))

	if r.lines, err = m.lines.Count(m.counts); err != nil {
		r.problem(err)
	}
	r.problem(errors.Join(r.lines.Lost...))
	if r.lines.Twice > 0 && monkey.mastersKilled == 0 {
		r.problem(fmt.Errorf("%d lines are twice in the log, and no master was killed", r.lines.Twice))
	}
	r.problems = append(r.problems, monkey.problems...)
	r.mastersKilled = monkey.mastersKilled
	r.load, r.monkey, r.judge, r.log = load.counts(), monkey.counts, judge, m.kindsSeen()
	return r, nil
}

// slowRun is the shortest run that has actions that take seconds.
const slowRun = 20 * time.Second

// firstKill kills the first master at rest. A master that has adopted workers has some descriptors more, the same number
// after each kill: later masters are compared with that.
func (r *report) firstKill(m *master) error {
	old := r.before.master.pid
	v := openVictim(old, m.tine)
	if v == nil {
		return fmt.Errorf("the first master %d has gone by itself", old)
	}
	defer v.close()
	r.journal.act("kill -9 of master %d at rest", old)
	v.signal(syscall.SIGKILL)
	if _, err := m.inCharge(old, backIn); err != nil {
		return fmt.Errorf("after the kill of the first master: %w", err)
	}
	time.Sleep(time.Second) // the new master gives back the memory that only its start needs
	first := r.before
	var err error
	if r.before, err = m.atRest(); err != nil {
		return err
	}
	r.journal.act("the first master had %d open files, the second has %d", first.master.files, r.before.master.files)
	r.before.master.files = max(r.before.master.files, first.master.files)
	return nil
}
