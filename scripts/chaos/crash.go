package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// watchdog is how long a master may hang. Its keeper then gives it 5 s for a dump of its goroutines.
	watchdog = 3 * time.Second
	// backIn bounds the time until another master is in charge with all its workers ready: the keeper may delay a start by
	// 5 s, and the master then replaces workers that died meanwhile.
	backIn = 20 * time.Second
	// upgradeIn bounds an order to upgrade: the master waits for a next one that hangs at its start, and for the slot that
	// a rollout is replacing.
	upgradeIn = 60 * time.Second
)

// killNow kills one of the masters, if there is one, and says which.
func (k *monkey) killNow() int {
	masters := k.master.masters()
	if len(masters) == 0 {
		k.journal.act("kill -9 of the master: there is none at the moment")
		return 0
	}
	pid := masters[k.rand.IntN(len(masters))]
	for _, exe := range []string{k.master.tine, k.master.next} {
		if v := openVictim(pid, exe); v != nil {
			v.signal(syscall.SIGKILL)
			v.close()
			k.mastersKilled++
			k.journal.act("kill -9 of master %d of %v", pid, masters)
			return pid
		}
	}
	return 0
}

// back waits, for some of the actions, until a master is in charge again. Otherwise the next action meets the state that the
// last one left.
func (k *monkey) back(old int) {
	if k.rand.IntN(2) == 0 {
		return
	}
	k.awaitMaster(old)
}

func (k *monkey) awaitMaster(old int) {
	if _, err := k.master.inCharge(old, backIn); err != nil {
		k.problem(fmt.Errorf("%v after the kill of master %d: %w", backIn, old, err))
	}
}

func (k *monkey) killMaster() {
	if !k.kill {
		return
	}
	k.did("kill -9 of the master")
	k.back(k.killNow())
}

// killMasterAndOne kills a worker together with the master, so that no master sees it die.
func (k *monkey) killMasterAndOne() {
	if !k.kill {
		return
	}
	v := k.pickOne()
	if v == nil {
		return
	}
	defer v.close()
	k.did("kill -9 of master and worker")
	old := 0
	k.killWorker(v, func() { old = k.killNow() })
	k.back(old)
}

// killInRollout kills the master after a random part of a rollout.
func (k *monkey) killInRollout() {
	if !k.kill {
		return
	}
	k.did("kill -9 of the master in a rollout")
	k.journal.act("SIGUSR2, and then")
	k.master.signal(syscall.SIGUSR2)
	time.Sleep(time.Duration(k.rand.IntN(int(400 * time.Millisecond))))
	k.back(k.killNow())
}

// killInBroadcast kills the master while a value is on its way to the workers. Whether the value was set is then unknown.
func (k *monkey) killInBroadcast() {
	if !k.kill {
		return
	}
	k.did("kill -9 of the master in a broadcast")
	var wg sync.WaitGroup
	defer wg.Wait()
	big := strings.Repeat("x", k.rand.IntN(200<<10))
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerIn)
		defer cancel()
		_, err := k.master.control.SetValue(ctx, broadcastKey, []byte(`"`+big+`"`))
		k.journal.act("a value of %d bytes was set: %v", len(big), err)
	})
	time.Sleep(time.Duration(k.rand.IntN(int(10 * time.Millisecond))))
	k.back(k.killNow())
}

// hang stops the master with SIGSTOP: the watchdog kills it and the keeper starts another.
func (k *monkey) hang() {
	masters := k.master.masters()
	if !k.kill || !k.slow || len(masters) != 1 {
		return
	}
	k.did("SIGSTOP of the master")
	k.mastersKilled++ // by its keeper
	k.journal.act("SIGSTOP of master %d", masters[0])
	_ = syscall.Kill(masters[0], syscall.SIGSTOP)
	k.awaitMaster(masters[0])
}

// order runs tine upgrade.
func (k *monkey) order(binary string) error {
	k.master.mend()
	ctx, cancel := context.WithTimeout(context.Background(), upgradeIn)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.master.cli, "upgrade", "--control", k.master.socket(), "--binary", binary)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	k.journal.act("tine upgrade --binary %s: %v after %v: %s", filepath.Base(binary), err, time.Since(began).Round(time.Millisecond), strings.TrimSpace(string(out)))
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return err
}

// other returns one of the two binaries of the run, at random.
func (k *monkey) other() string {
	if k.rand.IntN(2) == 0 {
		return k.master.tine
	}
	return k.master.next
}

func (k *monkey) upgrade() {
	if !k.upgrades {
		return
	}
	k.did("upgrade")
	if _, err := k.master.inCharge(0, backIn); err != nil { // the order needs a master that takes it
		k.problem(fmt.Errorf("before an upgrade: %w", err))
		return
	}
	if err := k.order(k.other()); err != nil {
		k.problem(fmt.Errorf("an upgrade failed: %w", err))
	}
}

// upgradeTwice gives two orders at once: one of them may be refused, and one must be done.
func (k *monkey) upgradeTwice() {
	if !k.upgrades {
		return
	}
	k.did("two upgrades at once")
	if _, err := k.master.inCharge(0, backIn); err != nil {
		k.problem(fmt.Errorf("before two upgrades: %w", err))
		return
	}
	var errs [2]error
	var wg sync.WaitGroup
	for i := range errs {
		binary := k.other()
		wg.Go(func() { errs[i] = k.order(binary) })
	}
	wg.Wait()
	if errs[0] != nil && errs[1] != nil {
		k.problem(fmt.Errorf("of two upgrades at once none was done: %w", errors.Join(errs[:]...)))
	}
}

// killInUpgrade kills the old master or the new one after a random part of an upgrade.
func (k *monkey) killInUpgrade() {
	if !k.upgrades || !k.kill {
		return
	}
	k.did("kill -9 of a master in an upgrade")
	var wg sync.WaitGroup
	binary := k.other()
	wg.Go(func() { _ = k.order(binary) })
	time.Sleep(time.Duration(k.rand.IntN(int(250 * time.Millisecond))))
	old := k.killNow()
	wg.Wait()
	k.awaitMaster(old)
}

// upgradeBadly orders an upgrade that must fail: the same master must go on, and no other may be left.
func (k *monkey) upgradeBadly() {
	if !k.upgrades {
		return
	}
	name := bad[k.rand.IntN(len(bad))]
	if name == "sleeps" && !k.slow {
		name = "exits"
	}
	k.did("upgrade to a bad binary")
	before, err := k.master.inCharge(0, backIn)
	if err != nil {
		k.problem(fmt.Errorf("before an upgrade to a bad binary: %w", err))
		return
	}
	if err := k.order(filepath.Join(k.master.dir, name)); err == nil {
		k.problem(fmt.Errorf("an upgrade to a binary that %s is said to have been done", name))
	}
	st, err := k.master.status()
	if err == nil && st.PID != before {
		err = fmt.Errorf("master %d answers", st.PID)
	}
	if err != nil {
		k.problem(fmt.Errorf("after an upgrade of master %d to a binary that %s: %w", before, name, err))
	}
}

// bad has the names of the binaries that writeBad writes.
var bad = []string{"exits", "sleeps", "truncated", "missing"}

func (m *master) writeBad() error {
	for name, text := range map[string]string{"exits": "#!/bin/sh\nexit 1\n", "sleeps": "#!/bin/sh\nexec sleep 1000\n"} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o755); err != nil {
			return fmt.Errorf("cannot write a bad binary: %w", err)
		}
	}
	truncated, err := copyBinary(m.cli, m.dir, "truncated")
	if err == nil {
		err = os.Truncate(truncated, 100<<10)
	}
	if err != nil {
		return fmt.Errorf("cannot write a bad binary: %w", err)
	}
	return nil
}

// canUpgrade reports whether this Tine has the order to upgrade.
func (m *master) canUpgrade() bool {
	out, _ := exec.Command(m.cli, "--help").Output()
	return bytes.Contains(out, []byte("\n  upgrade "))
}

// stopAndStart stops the keeper and all below it under load, whether a master is in charge or still starting, and starts anew.
func (k *monkey) stopAndStart() {
	if !k.slow {
		return
	}
	k.stopped.Wait() // a worker that is stopped by SIGSTOP ends only after it is continued
	k.did("stop and start of all")
	k.journal.act("the last requests")
	k.load.lastRequest()
	k.journal.act("SIGTERM to the keeper")
	took, err := k.master.stop(stopLimit)
	k.load.wait()
	if err == nil {
		err = k.master.leftovers()
	}
	if err != nil {
		k.problem(fmt.Errorf("a stop in the midst: %w", err))
		return
	}
	k.journal.act("stopped in %v", took.Round(time.Millisecond))
	err = k.master.configure(workers, "again")
	if err == nil {
		err = k.master.start()
	}
	if err == nil {
		err = k.master.waitReady(settleLimit)
	}
	if err != nil {
		k.problem(fmt.Errorf("a start after a stop: %w", err))
		return
	}
	k.told = map[int]bool{}
	k.load.resume()
}
