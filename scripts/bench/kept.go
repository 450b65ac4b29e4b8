//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	keptWorkers = 4
	printRate   = 100 // numbered lines a second of each worker
	backIn      = 20 * time.Second
)

// kept is a Tine whose master is replaced again and again, by a crash or an upgrade, while its workers serve and print.
type kept struct {
	*peer
	keeper  int // its PID here; in a container it is 1 there
	control *control.Client
	counts  string // folder in which the workers count their lines

	pids []int // of the workers as they are known to Tine, in the beginning
}

// usage is how many descriptors there are.
type usage struct {
	keeper, master int
	workers        []int
}

// startKept starts the demo under Tine with a keeper, in a folder of its own.
func (b *bench) startKept() (*kept, error) {
	dir, err := os.MkdirTemp(b.dir, "kept-")
	if err != nil {
		return nil, err
	}
	var config string
	s, err := b.launch(command{"tine", func(addr string) (*exec.Cmd, error) {
		var err error
		if config, err = keptConfig(dir, dir, b.bin("demo"), addr); err != nil {
			return nil, err
		}
		return exec.Command(b.bin("tine"), "run", "-c", config, "--keeper", "on", "--control", filepath.Join(dir, "c.sock")), nil
	}})
	if err != nil {
		return nil, err
	}
	k := &kept{peer: s, keeper: s.p.pid()}
	return k, k.begin(dir)
}

// keptConfig writes tine.yaml into dir, for a Tine that sees that folder as inside.
func keptConfig(dir, inside, demo, addr string) (string, error) {
	counts := filepath.Join(dir, "counts")
	if err := os.Mkdir(counts, 0o777); err != nil {
		return "", err
	}
	if err := os.Chmod(counts, 0o777); err != nil { // the container's user is another
		return "", err
	}
	text := fmt.Sprintf("apps:\n  web:\n    command: [%q]\n    listen: [%q]\n    workers: %d\n    env: {DEMO_PRINT: '%d', DEMO_PRINT_COUNTS: %q}\n",
		demo, addr, keptWorkers, printRate, filepath.Join(inside, "counts"))
	path := filepath.Join(dir, "tine.yaml")
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// begin waits until all workers are ready.
func (k *kept) begin(dir string) error {
	k.control, k.counts = control.NewClient(filepath.Join(dir, "c.sock")), filepath.Join(dir, "counts")
	st, err := k.inCharge(0)
	if err != nil {
		k.end()
		return err
	}
	k.pids = workerPIDs(st)
	return nil
}

func (k *kept) end() {
	k.p.stop()
	if k.control != nil {
		k.control.Close()
	}
}

func workerPIDs(st api.Status) (pids []int) {
	for _, w := range st.Apps[0].Workers {
		pids = append(pids, w.PID)
	}
	slices.Sort(pids)
	return pids
}

// inCharge asks, every half millisecond, until another master than old answers on the control socket and has all workers
// ready.
func (k *kept) inCharge(old int) (st api.Status, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), backIn)
	defer cancel()
	for {
		st, err = k.control.Status(ctx)
		if err == nil && st.PID != old && len(st.Apps) == 1 && st.Apps[0].Ready == keptWorkers {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, fmt.Errorf("no master is in charge after %v: %w\n%s", backIn, err, k.p.said())
		case <-k.p.gone:
			return st, fmt.Errorf("tine has ended:\n%s", k.p.said())
		case <-time.After(500 * time.Microsecond):
		}
	}
}

// masterHere is the master's PID as it is known here, outside of a container.
func (k *kept) masterHere() (int, error) {
	for _, pid := range procfs.Children(k.keeper) {
		if procfs.Name(pid) == "tine" && !procfs.IsZombie(pid) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("there is no master below keeper %d", k.keeper)
}

// usage is counted at rest: without load, and some time after the last change.
func (k *kept) usage() (u usage, err error) {
	for i := range 20 { // the least: at any moment something may be under way
		pid, err := k.masterHere()
		if err != nil {
			return u, err
		}
		now := usage{keeper: procfs.OpenFiles(k.keeper), master: procfs.OpenFiles(pid)}
		for _, w := range procfs.Children(k.keeper) {
			if procfs.Name(w) == "demo" {
				now.workers = append(now.workers, procfs.OpenFiles(w))
			}
		}
		slices.Sort(now.workers)
		if i == 0 {
			u = now
		}
		u.keeper, u.master = min(u.keeper, now.keeper), min(u.master, now.master)
		for n := range min(len(u.workers), len(now.workers)) {
			u.workers[n] = min(u.workers[n], now.workers[n])
		}
		time.Sleep(20 * time.Millisecond)
	}
	return u, nil
}

// zombies are those below the keeper.
func (k *kept) zombies() (n int) {
	for _, pid := range procfs.Below(k.keeper) {
		if procfs.IsZombie(pid) {
			n++
		}
	}
	return n
}

// restarted is how many of the first workers are there no more.
func (k *kept) restarted() (int, error) {
	st, err := k.inCharge(0)
	if err != nil {
		return 0, err
	}
	n, now := 0, workerPIDs(st)
	for _, pid := range k.pids {
		if !slices.Contains(now, pid) {
			n++
		}
	}
	return n, nil
}
