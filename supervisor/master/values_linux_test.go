package master

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control/api"
)

// TestValuesSurviveACrash of a master that a keeper starts again: also the workers' view of them, and the next epoch.
func TestValuesSurviveACrash(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	set := func(key, value string) uint64 {
		t.Helper()
		epoch, err := m.client.SetValue(bounded(t), key, []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		return epoch
	}
	want := map[string]string{}
	epoch := uint64(0)
	for round := range 4 {
		for _, size := range []int{10, ipc.HeapMax + 10, 3 << 20} {
			key, value := fmt.Sprint("key", size), strings.Repeat(strconv.Itoa(round), size)
			want[key] = value
			epoch++
			if got := set(key, value); got != epoch {
				t.Fatalf("round %d: epoch %d, wanted %d", round, got, epoch)
			}
		}
		st, _ = m.crash(st)
		for key, value := range want {
			got, _, err := m.client.Value(bounded(t), key)
			if err != nil || string(got) != value {
				t.Errorf("round %d: %s has %d bytes, wanted %d, %v", round, key, len(got), len(value), err)
			}
		}
		if st.Cache.Epoch != epoch || len(st.Cache.Values) != len(want) {
			t.Errorf("round %d: %d values of epoch %d, wanted %d of %d", round, len(st.Cache.Values), st.Cache.Epoch, len(want), epoch)
		}
		if got := set("key10", want["key10"]); got > epoch {
			t.Errorf("round %d: the same value is a change, of epoch %d", round, got)
		}
		m.await("the workers' epoch", func(st api.Status) bool {
			return allAppsReady(st) && !slices.ContainsFunc(onlyApp(st).Workers, func(w api.Worker) bool { return w.Epoch != epoch })
		})
	}
}

// TestValuesSurviveUpgrades, those that fail too, and a crash after them.
func TestValuesSurviveUpgrades(t *testing.T) {
	m := startKept(t, keptConfig)
	st := m.await("ready", allAppsReady)
	epoch := uint64(0)
	check := func(after string, wanted int) {
		t.Helper()
		for key, value := range map[string]string{"small": strings.Repeat("s", wanted), "large": strings.Repeat("l", ipc.HeapMax+wanted)} {
			got, _, err := m.client.Value(bounded(t), key)
			if err != nil || string(got) != value {
				t.Errorf("after %s: %s has %d bytes, wanted %d, %v", after, key, len(got), len(value), err)
			}
		}
		if now := m.await("ready", allAppsReady); now.Cache.Epoch != epoch || len(now.Cache.Values) != 2 {
			t.Errorf("after %s: %d values of epoch %d, wanted 2 of %d", after, len(now.Cache.Values), now.Cache.Epoch, epoch)
		}
	}
	for n := 1; n <= 3; n++ {
		for key, value := range map[string]string{"small": strings.Repeat("s", n), "large": strings.Repeat("l", ipc.HeapMax+n)} {
			var err error
			if epoch, err = m.client.SetValue(bounded(t), key, []byte(value)); err != nil || epoch > uint64(2*n) {
				t.Fatalf("epoch %d, %v", epoch, err)
			}
		}
		switch n {
		case 1:
			st, _ = m.upgrade(st, os.Args[0])
			check("an upgrade", n)
		case 2:
			if err := os.WriteFile(m.dir+"/die", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(st.PID, syscall.Signal(40)); err != nil {
				t.Fatal(err)
			}
			m.await("the old master", func(api.Status) bool {
				return strings.Contains(m.log.String(), "upgrade failed, everything runs on")
			})
			check("an upgrade that failed", n)
			st, _ = m.crash(st)
			check("a crash after it", n)
			if err := os.Remove(m.dir + "/die"); err != nil {
				t.Fatal(err)
			}
		case 3:
			st, _ = m.upgrade(st, os.Args[0])
			st, _ = m.crash(st)
			check("an upgrade and a crash", n)
		}
	}
}
