package master

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// TestScaleDownAfterAMasterCrash: where the kernel hashes, a retired slot whose socket is still open somewhere gets
// connections that nobody accepts. A master has what it was started with beside what it has made of that.
func TestScaleDownAfterAMasterCrash(t *testing.T) {
	m := startKept(t, keptConfig+"    steering: hash\n")
	st, _ := m.crash(m.await("ready", allAppsReady))
	address := addressOf(onlyApp(st))
	if n := listening(t, address); n != 3 {
		t.Fatalf("%d sockets listen for 3 slots", n)
	}
	end := m.load(address, 4)
	if err := m.do(api.Order{Verb: api.VerbScale, App: "web", N: 1}); err != nil {
		t.Fatal(err)
	}
	m.await("one", func(st api.Status) bool { return allAppsReady(st) && len(onlyApp(st).Workers) == 1 })
	ctx := bounded(t)
	for listening(t, address) > 1 {
		select {
		case <-ctx.Done():
			t.Fatalf("%d sockets listen for one slot", listening(t, address))
		case <-time.After(10 * time.Millisecond):
		}
	}
	if asked, lost := end(); len(lost) > 0 {
		t.Errorf("lost of %d requests: %v", asked, lost)
	}
}

// listening counts the sockets that listen on an IPv4 address: proc_net_tcp(5).
func listening(t *testing.T, address string) (n int) {
	t.Helper()
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field := strings.Fields(lines.Text())
		const listens = "0A"
		if len(field) > 3 && field[3] == listens && strings.HasSuffix(field[1], fmt.Sprintf(":%04X", a.Port())) {
			n++
		}
	}
	return n
}
