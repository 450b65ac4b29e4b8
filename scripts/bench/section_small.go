//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// benchLine is what go test prints: name, rounds, ns/op, further units, allocs/op.
var (
	benchLine = regexp.MustCompile(`(?m)^Benchmark([\w/=-]+?)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op(.*)$`)
	perStep   = regexp.MustCompile(`([0-9.]+) ns/step`)
	allocs    = regexp.MustCompile(`(\d+) allocs/op`)
)

// small runs the benchmarks that are in the packages' tests.
func (b *bench) small() error {
	read, err := b.goBench("./worker", "^BenchmarkCachedGet$")
	if err != nil {
		return err
	}
	for _, m := range read {
		ns, _ := strconv.ParseFloat(m[2], 64)
		a := allocs.FindStringSubmatch(m[3])
		zero := a != nil && a[1] == "0"
		b.table.add("read of a cached value", "< 20 ns, 0 allocs", fmt.Sprintf("%.1f ns, %s", ns, allocs.FindString(m[3])), verdictOf(ns < 20 && zero))
	}
	steps, err := b.goBench("./supervisor/pool", "^Benchmark(Tick|Crash|Rollout)$")
	if err != nil {
		return err
	}
	for _, m := range steps {
		ns, _ := strconv.ParseFloat(m[2], 64)
		if s := perStep.FindStringSubmatch(m[3]); s != nil {
			ns, _ = strconv.ParseFloat(s[1], 64)
		}
		b.table.add("step of the core with 256 slots: "+m[1], "< 20 us", fmt.Sprintf("%.1f us", ns/1000), verdictOf(ns < 20000))
	}
	readers, err := b.goBench("./supervisor/master", "^Benchmark(Status|Metrics)Of64Workers$")
	if err != nil {
		return err
	}
	for _, m := range readers {
		ns, _ := strconv.ParseFloat(m[2], 64)
		target := 5.0 // ms
		if strings.HasPrefix(m[1], "Metrics") {
			target = 100
		}
		b.table.add("answer of the master: "+m[1], fmt.Sprintf("< %.0f ms", target), fmt.Sprintf("%.1f ms", ns/1e6), verdictOf(ns < target*1e6))
	}
	return nil
}

// goBench runs the benchmarks of a package that match pattern, as go test -bench takes it.
func (b *bench) goBench(pkg, pattern string) ([][]string, error) {
	c := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchmem",
		"-benchtime", fmt.Sprintf("%dms", b.times(1000, 100)), "-cpu", strconv.Itoa(runtime.NumCPU()), pkg)
	c.Dir = b.root
	out, err := c.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w\n%s", pattern, pkg, err, out)
	}
	found := benchLine.FindAllStringSubmatch(string(out), -1)
	if found == nil {
		return nil, fmt.Errorf("no benchmark %s in %s", pattern, pkg)
	}
	return found, nil
}
