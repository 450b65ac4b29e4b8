package master

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
)

// TestReadyWithAJobThatCannotRun: beside an app that serves, a one-shot app keeps nothing waiting that never had a process, nor does
// one that waits for it. All other ways in which a job may end are scripts of package apps.
func TestReadyWithAJobThatCannotRun(t *testing.T) {
	job, after := oneShot("job", ""), oneShot("after", "exit 0")
	job.Command, job.StartLimit = []string{filepath.Join(t.TempDir(), "job")}, 2
	after.DependsOn = map[string]string{"job": config.DependsExited}
	if err := os.WriteFile(job.Command[0], []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := startMaster(t, func(c *config.Config) { c.Apps = append(c.Apps, job, after) }) // waits for Ready
	eventually.True(t, "the job gives up", func() bool { return m.app("job").State == api.AppGaveUp })
	for _, name := range []string{"job", "after"} {
		if a := m.app(name); !a.Failed {
			t.Errorf("%+v", a)
		}
	}
}
