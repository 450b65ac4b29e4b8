package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"
)

// monkey does random things to the master and its workers, at random times.
type monkey struct {
	master  *master
	journal *journal
	judge   *judge
	load    *load
	kill    bool
	slow    bool       // there is time for actions that take seconds
	steps   *rand.Rand // picks the next step and the pause before it
	rand    *rand.Rand // the numbers of the current step

	told     map[int]bool // the workers that got SIGTERM
	counts   map[string]int
	stopped  sync.WaitGroup // workers that are to be continued
	problems []error        // of actions, not of requests

	upgrades      bool // this Tine has the order to upgrade
	mastersKilled int

	// A worker that is continued while it is being killed would accept connections that
	// the list of its connections lacks.
	killing sync.RWMutex // held for reading by a kill, for writing by a SIGCONT
}

type action struct {
	weight int // its share of the steps
	do     func(*monkey)
}

var actions = []action{
	{5, (*monkey).roll},
	{1, (*monkey).burst},
	{2, (*monkey).grow},
	{2, (*monkey).shrink},
	{5, (*monkey).killOne},
	{1, (*monkey).killTwo},
	{2, (*monkey).terminate},
	{2, (*monkey).pauseOne},
	{2, (*monkey).reload},
	{1, (*monkey).reloadBroken},
	{3, (*monkey).killMaster},
	{2, (*monkey).killMasterAndOne},
	{2, (*monkey).killInRollout},
	{2, (*monkey).killInBroadcast},
	{1, (*monkey).hang},
	{2, (*monkey).upgrade},
	{1, (*monkey).upgradeTwice},
	{1, (*monkey).killInUpgrade},
	{1, (*monkey).upgradeBadly},
	{1, (*monkey).stopAndStart},
}

func (k *monkey) problem(err error) {
	k.problems = append(k.problems, err)
	k.journal.add("✗ " + err.Error())
}

func (k *monkey) did(what string) { k.counts[what]++ }

const maxPause = 700 * time.Millisecond

// play takes steps for d, or until a signal comes.
func (k *monkey) play(d time.Duration, interrupted <-chan os.Signal) {
	k.counts, k.told = map[string]int{}, map[int]bool{}
	if !k.upgrades {
		k.journal.act("SKIPPED: upgrades")
	}
	defer k.stopped.Wait()
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	end := time.After(d)
	for {
		// Each step has a source of random numbers of its own, so that the next one does
		// not depend on how many this one used.
		pause := 20*time.Millisecond + time.Duration(k.steps.Int64N(int64(maxPause)))
		n := k.steps.IntN(total)
		k.rand = rand.New(rand.NewPCG(k.steps.Uint64(), 2))
		select {
		case <-time.After(pause):
		case <-end:
			return
		case <-interrupted:
			k.journal.act("interrupted")
			return
		}
		for _, a := range actions {
			if n -= a.weight; n < 0 {
				a.do(k)
				break
			}
		}
	}
}

func (k *monkey) roll() {
	k.did("SIGUSR2")
	k.journal.act("SIGUSR2")
	k.master.signal(syscall.SIGUSR2)
}

func (k *monkey) burst() {
	n := 2 + k.rand.IntN(9)
	k.did("SIGUSR2, in bursts")
	k.journal.act("SIGUSR2 %d times", n)
	for range n {
		k.master.signal(syscall.SIGUSR2)
		time.Sleep(time.Duration(k.rand.IntN(int(5 * time.Millisecond))))
	}
}

func (k *monkey) grow() {
	if n := k.master.wanted(); n < 2*workers {
		k.did("SIGTTIN")
		k.journal.act("SIGTTIN, from %d workers", n)
		k.master.signal(syscall.SIGTTIN)
	}
}

func (k *monkey) shrink() {
	if n := k.master.wanted(); n > workers/2 {
		k.did("SIGTTOU")
		k.journal.act("SIGTTOU, from %d workers", n)
		k.master.signal(syscall.SIGTTOU)
	}
}

// pickOne chooses a worker in any state.
func (k *monkey) pickOne() *victim {
	all := k.master.workers()
	if len(all) == 0 {
		return nil
	}
	return openVictim(all[k.rand.IntN(len(all))], k.master.demo)
}

func (k *monkey) killOne() { k.killSome(1) }
func (k *monkey) killTwo() { k.killSome(2) }

func (k *monkey) killSome(n int) {
	if !k.kill {
		return
	}
	var wg sync.WaitGroup
	last := 0
	for range n {
		v := k.pickOne()
		if v == nil {
			continue
		}
		if v.pid == last {
			v.close()
			continue
		}
		last = v.pid
		k.did("kill -9 of a worker")
		wg.Go(func() {
			defer v.close()
			k.killWorker(v, nil)
		})
	}
	wg.Wait()
}

// killWorker kills a worker and tells the judge which connections it had. meanwhile, if not nil, runs after the worker is
// stopped and just before it is killed.
func (k *monkey) killWorker(v *victim, meanwhile func()) {
	k.killing.RLock()
	d, err := v.kill(k.master.port, meanwhile)
	k.killing.RUnlock()
	if err != nil {
		k.journal.act("kill -9 of %d: %v", v.pid, err)
		return
	}
	k.judge.killed(d)
	k.journal.act("kill -9 of %d: had %d connections, gone after %v", v.pid, len(d.held), d.until.Sub(d.from).Round(10*time.Microsecond))
}

// terminate sends SIGTERM to a worker once: a second SIGTERM ends it at once.
func (k *monkey) terminate() {
	v := k.pickOne()
	if v == nil {
		return
	}
	defer v.close()
	if k.told[v.pid] {
		return
	}
	k.told[v.pid] = true
	k.did("SIGTERM of a worker")
	k.journal.act("SIGTERM of worker %d", v.pid)
	v.signal(syscall.SIGTERM)
}

func (k *monkey) pauseOne() {
	v := k.pickOne()
	if v == nil {
		return
	}
	d := time.Duration(k.rand.Int64N(int64(time.Second)))
	k.did("SIGSTOP of a worker")
	k.journal.act("SIGSTOP of worker %d for %v", v.pid, d.Round(time.Millisecond))
	v.signal(syscall.SIGSTOP)
	k.stopped.Go(func() {
		defer v.close()
		time.Sleep(d)
		k.killing.Lock()
		v.signal(syscall.SIGCONT)
		k.killing.Unlock()
		k.journal.act("SIGCONT of worker %d", v.pid)
	})
}

func (k *monkey) reload() {
	n := workers
	if k.rand.IntN(2) == 0 {
		n = 2 + k.rand.IntN(2*workers-1)
	}
	change := k.rand.IntN(1000)
	k.did("SIGHUP, new config")
	k.journal.act("SIGHUP with %d workers and CHAOS=%d", n, change)
	if err := k.master.configure(n, fmt.Sprint(change)); err != nil {
		k.journal.act("cannot write the config: %v", err)
		return
	}
	k.master.signal(syscall.SIGHUP)
}

var broken = []string{
	"apps: [", "apps: {web: {listen: 7}}\n", "aps: {}\n", "", "apps: {web: {command: [./demo], workers: -3}}\n", "\x00\xff",
}

func (k *monkey) reloadBroken() {
	text := broken[k.rand.IntN(len(broken))]
	k.did("SIGHUP, broken config")
	k.journal.act("SIGHUP with the config %q", text)
	k.master.broken = true
	if err := k.master.writeConfig(text); err != nil {
		k.journal.act("cannot write the config: %v", err)
		return
	}
	k.master.signal(syscall.SIGHUP)
}
