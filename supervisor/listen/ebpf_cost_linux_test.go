package listen

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// BenchmarkEBPFProgram reports what the program itself takes for a connection, as the kernel measures it: ns/pick. ns/op is
// dial to close.
func BenchmarkEBPFProgram(b *testing.B) {
	for _, policy := range []Policy{Least, RoundRobin, ClientIP} {
		for _, slots := range []int{4, 64, 256, 1024} {
			b.Run(fmt.Sprintf("%s/%d", policy, slots), func(b *testing.B) {
				r := newRig(b, slots, Options{Policy: policy})
				r.board.Header().StaleAfter.Store(uint64(staleAfterAccept))
				for slot := range slots {
					r.serve(b, 0, slot)
				}
				stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
				if err != nil {
					b.Skipf("NOT TESTED: no statistics of programs: %v", err)
				}
				defer stats.Close()
				before, err := r.groups[0].program.Stats()
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					answer(b, r.target(0))
				}
				after, err := r.groups[0].program.Stats()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(after.Runtime-before.Runtime)/float64(after.RunCount-before.RunCount), "ns/pick")
			})
		}
	}
}
