//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tinehq/tine/scripts/internal/procfs"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// manyOf are the numbers of apps that the growth is measured with.
var manyOf = []int{50, 100, 200, 500}

const (
	mostStart    = 8 * time.Second // of the largest number, on two cores
	mostRecovery = 2 * time.Second
	mostStop     = 5 * time.Second
	// mostGrowth is how much longer an app may take beside the most than beside the fewest.
	mostGrowth = 3
)

// manyTook is what one number of apps took.
type manyTook struct {
	n                     int
	start, recovery, stop time.Duration
	master, keeper        int // descriptors
}

// many starts one-shot apps that run, kills the master, and stops all of it.
func (b *bench) many() error {
	var all []manyTook
	for _, n := range manyOf[:b.times(len(manyOf), 3)] {
		took, err := b.manyApps(n)
		if err != nil {
			return fmt.Errorf("%d apps: %w", n, err)
		}
		all = append(all, took)
	}
	first, last := all[0], all[len(all)-1]
	for _, t := range all {
		b.table.add(fmt.Sprintf("%d one-shot apps: all run; kill -9 of the master to the next; stop", t.n),
			fmt.Sprintf("< %s; %s; %s", ms(mostStart), ms(mostRecovery), ms(mostStop)),
			fmt.Sprintf("%s; %s; %s; descriptors: master %d, keeper %d", ms(t.start), ms(t.recovery), ms(t.stop), t.master, t.keeper),
			verdictOf(t.start < mostStart && t.recovery < mostRecovery && t.stop < mostStop))
	}
	each := func(t manyTook) float64 { return float64(t.start+t.recovery+t.stop) / float64(t.n) }
	growth := each(last) / each(first)
	b.table.add(fmt.Sprintf("time for an app beside %d others, to that beside %d", last.n, first.n), fmt.Sprintf("< %d", mostGrowth),
		fmt.Sprintf("%.1f", growth), verdictOf(growth < mostGrowth))
	return nil
}

func (b *bench) manyApps(n int) (took manyTook, err error) {
	took.n = n
	dir, err := os.MkdirTemp(b.dir, "many-")
	if err != nil {
		return took, err
	}
	var text strings.Builder
	text.WriteString("apps:\n")
	for i := range n {
		fmt.Fprintf(&text, "  job%d: {command: [sleep, '1000'], oneshot: true}\n", i)
	}
	config, socket := filepath.Join(dir, "tine.yaml"), filepath.Join(dir, "c.sock")
	if err := os.WriteFile(config, []byte(text.String()), 0o644); err != nil {
		return took, err
	}
	began := time.Now()
	p, err := startProcess(exec.Command(b.bin("tine"), "run", "-c", config, "--keeper", "on", "--control", socket), nil)
	if err != nil {
		return took, err
	}
	defer p.stop()
	client := control.NewClient(socket)
	defer client.Close()
	st, err := b.manyRun(client, p, n, 0)
	if err != nil {
		return took, err
	}
	took.start = time.Since(began)
	took.master, took.keeper = procfs.OpenFiles(st.PID), procfs.OpenFiles(p.pid())
	began = time.Now()
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		return took, err
	}
	if _, err = b.manyRun(client, p, n, st.PID); err != nil {
		return took, err
	}
	took.recovery = time.Since(began)
	began = time.Now()
	if err := syscall.Kill(p.pid(), syscall.SIGTERM); err != nil {
		return took, err
	}
	select {
	case <-p.gone:
	case <-time.After(time.Minute):
		return took, fmt.Errorf("it does not end\n%s", p.said())
	}
	took.stop = time.Since(began)
	return took, nil
}

// manyRun asks until a master other than old has a process for each app.
func (b *bench) manyRun(client *control.Client, p *process, n, old int) (st api.Status, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	for {
		st, err = client.Status(ctx)
		running := 0
		for _, a := range st.Apps {
			for _, w := range a.Workers {
				if w.PID != 0 {
					running++
				}
			}
		}
		if err == nil && st.PID != old && running == n {
			return st, nil
		}
		select {
		case <-ctx.Done():
			return st, fmt.Errorf("%d of %d run: %w\n%s", running, n, ctx.Err(), p.said())
		case <-p.gone:
			return st, fmt.Errorf("it has ended: %s", p.said())
		case <-time.After(20 * time.Millisecond): // each answer costs something for each app
		}
	}
}
