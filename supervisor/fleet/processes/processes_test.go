package processes

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	serveIfAsked()
	goleak.VerifyTestMain(m)
}

// shown is members as a line: app, address and statistics of each.
func shown(all []members.Member) string {
	var texts []string
	for _, m := range all {
		text := m.ID
		if m.Report == nil {
			text += " unknown"
		} else {
			for _, stat := range slices.Sorted(maps.Keys(m.Report.Stats)) {
				text += fmt.Sprintf(" %s=%g", stat, m.Report.Stats[stat])
			}
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

func known(ids ...string) (all []members.Member) {
	for _, id := range ids {
		all = append(all, members.Member{ID: id, Address: "192.168.150.36:80", Weight: 1, State: members.Ready})
	}
	return all
}

// TestReports: several processes of one app are summed, a socket of both counts once, connections that an app has made itself do not
// count, and an app that is not seen is unknown.
func TestReports(t *testing.T) {
	t.Parallel()
	seen := sample{
		processes: []process{
			{pid: 12, app: "app_1", started: 1, cpu: time.Second, memory: 100, sockets: []uint64{1, 2, 90}},
			{pid: 1234, app: "app_1", started: 2, cpu: time.Second, memory: 50, sockets: []uint64{2}},
			{pid: 13, app: "app_2", started: 3, memory: 10, sockets: []uint64{3}},
			{pid: 14, app: "app_3", started: 4, memory: 10, sockets: []uint64{91}},
			{pid: 15, app: "app_10", started: 5, memory: 10, sockets: []uint64{4}},
		},
		network: network{
			listening: map[uint64]string{1: "127.0.0.1:4001", 2: "0.0.0.0:4002", 3: "[::]:4003", 4: "/tmp/app.sock", 99: "127.0.0.1:5432"},
			connections: map[string]int{
				"127.0.0.1:4001": 2, "10.0.0.1:4002": 1, "10.0.0.2:4002": 1, "10.0.0.1:4003": 3, "[2001:db8::1]:4003": 1, "/tmp/app.sock": 5,
				"127.0.0.1:55555": 7, "127.0.0.1:5432": 7,
			},
		},
	}
	r := reporter{source: Source{Known: known("app_1", "app_2", "app_3", "app_4")}, epoch: 7}
	if got, want := shown(r.report(seen, int64(time.Second))), "app_1 connections=4 memory=150, app_2 connections=4 memory=10, app_3 memory=10, app_4 unknown"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	seen.processes[0].cpu += 500 * time.Millisecond
	seen.processes[1].started = 9 // another process of that number
	all := r.report(seen, int64(3*time.Second))
	if got, want := shown(all[:2]), "app_1 connections=4 cpu=0.25 memory=150, app_2 connections=4 cpu=0 memory=10"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r := all[0].Report; r.Epoch != 7 || r.Sequence != 2 || r.ReceivedAt != int64(3*time.Second) {
		t.Errorf("%+v", r)
	}
	if r.source.Known[0].Report != nil {
		t.Error("a report was put into the list of the config")
	}
	all = (&reporter{}).report(seen, 1)
	var where []string
	for _, m := range all {
		where = append(where, m.ID+" "+m.Address)
	}
	if got, want := strings.Join(where, ", "), "app_1 127.0.0.1:4002, app_2 [::1]:4003, app_10 /tmp/app.sock"; got != want {
		t.Errorf("those that are seen: %s, want %s", got, want)
	}
}

// TestOrder: app_2 comes before app_10.
func TestOrder(t *testing.T) {
	t.Parallel()
	all := []string{"app_10", "b", "app_2", "app_02x", "app", "app_2a", "a1b2", "a1b10"}
	slices.SortFunc(all, compare)
	if got, want := strings.Join(all, " "), "a1b2 a1b10 app app_2 app_2a app_02x app_10 b"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

var fromFolder = regexp.MustCompile(`srv/([^/]+)`)
