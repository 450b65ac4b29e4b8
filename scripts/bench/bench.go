//go:build linux

package main

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed node/*.js
var scripts embed.FS

// bench is one run: where things are, and what was found.
type bench struct {
	ctx   context.Context
	quick bool
	root  string // of the project
	dir   string // temporary: scripts, configs, the peers' programs
	table table
	lost  int // requests that failed or connections that were refused, of Tine and where it promises none
	said  map[string]bool
}

func newBench(ctx context.Context, quick bool) (*bench, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find the project: %w", err)
	}
	b := &bench{ctx: ctx, quick: quick, root: filepath.Dir(strings.TrimSpace(string(out))), said: map[string]bool{}}
	if b.dir, err = os.MkdirTemp("", "tine-bench-"); err != nil {
		return nil, err
	}
	if err := b.build(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { os.RemoveAll(b.dir) }

// build puts Tine and the demo into the project's bin and the rest where it is removed from.
func (b *bench) build() error {
	for to, packages := range map[string][]string{
		filepath.Join(b.root, "bin"): {"./cmd/tine", "./cmd/demo"},
		b.dir:                        {"./scripts/bench/prefork", "./scripts/bench/fanout", "./scripts/bench/waiter", "./scripts/bench/chatter", "./scripts/bench/reverseproxy"},
	} {
		c := exec.CommandContext(b.ctx, "go", append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", to + "/"}, packages...)...)
		c.Dir, c.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", strings.Join(packages, " "), err, out)
		}
	}
	for _, name := range []string{"cluster.js", "broadcast.js"} {
		text, err := scripts.ReadFile("node/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) bin(name string) string { return filepath.Join(b.root, "bin", name) }

// has looks for a program that need not be there, and says once and loudly when it is not.
func (b *bench) has(program, what string) bool {
	_, err := exec.LookPath(program)
	if err != nil && !b.said[program] {
		b.said[program] = true
		fmt.Fprintf(os.Stderr, "bench: SKIPPED: %s is not installed: %s\n", program, what)
		b.table.add(what, "", "SKIPPED: "+program+" is not installed", info)
	}
	return err == nil
}

// times is n, or few in a quick run.
func (b *bench) times(n, few int) int {
	if b.quick {
		return few
	}
	return n
}

func (b *bench) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// freeAddress returns an address that no process listens on at the moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

type number interface{ ~int | ~int64 | ~float64 }

// median of a copy of v; 0 when it is empty.
func median[T number](v []T) T { return quantile(v, 0.5) }

func quantile[T number](v []T, q float64) T {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }
