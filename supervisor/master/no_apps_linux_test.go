package master

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/record"
	"github.com/tinehq/tine/supervisor/succession"
)

// TestSuccessionOfNoApp: an app that an order is about to start again is not in the record. A master that finds no other app there starts
// it, as it is in the config.
func TestSuccessionOfNoApp(t *testing.T) {
	f, err := record.Memory("a test's")
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.New(f)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := json.Marshal(succession.State{Version: succession.Version, Master: os.Getpid(), At: ipc.Monotonic(), Keys: 4, WasReady: true})
	if err == nil {
		err = r.Write(blob)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := startMaster(t, nil, WithStore(&names{kept: map[string]int{}}, map[string][]*os.File{succession.StateFile: {f}}))
	eventually.True(t, "the app runs", func() bool {
		st, err := m.s.Status()
		return err == nil && len(st.Apps) == 1 && st.Apps[0].Ready == 2 && m.app("web").State == api.AppRunning
	})
}
