package listen

import (
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// BenchmarkEBPFProgram reports what the program itself takes for a connection, as the kernel measures it: ns/pick. ns/op is
// dial to close.
func BenchmarkEBPFProgram(b *testing.B) {
	for _, policy := range []Policy{Least, RoundRobin, ClientIP} {
		for _, slots := range []int{4, 64, 256, 1024} {
			b.Run(fmt.Sprintf("%s/%d", policy, slots), func(b *testing.B) {
				needFiles(b, 3*slots)
				r := newRig(b, slots, Options{Policy: policy})
				r.board.Header().StaleAfter.Store(uint64(staleAfterAccept))
				for slot := range slots {
					r.serve(b, 0, slot)
				}
				stats := r.measure(b)
				for b.Loop() {
					answer(b, r.target(0))
				}
				runs, took := stats()
				b.ReportMetric(float64(took)/float64(runs), "ns/pick")
			})
		}
	}
}

// measure counts the runs of the first group's program from now on, and the time that they take.
func (r *rig) measure(t testing.TB) func() (runs uint64, took time.Duration) {
	t.Helper()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		t.Skipf("NOT TESTED: no statistics of programs: %v", err)
	}
	t.Cleanup(func() { stats.Close() })
	before, err := r.groups[0].program.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return func() (uint64, time.Duration) {
		after, err := r.groups[0].program.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return after.RunCount - before.RunCount, after.Runtime - before.Runtime
	}
}
