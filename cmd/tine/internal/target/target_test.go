package target

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor/claim"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers at a control socket in dir as the master of st does, until the test ends.
func serve(t *testing.T, dir string, st api.Status) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, SocketName(st.Name)))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(st)
	})}
	ended := make(chan struct{})
	go func() { _ = server.Serve(l); close(ended) }()
	t.Cleanup(func() { server.Close(); <-ended })
}

func app(name, namespace string, slots ...int) api.App {
	a := api.App{Name: name, Namespace: namespace, State: api.AppRunning}
	for _, slot := range slots {
		a.Workers = append(a.Workers, api.Worker{Slot: slot})
	}
	return a
}

// world makes a folder in which the masters shop (apps web and jobs) and blog (apps web and mail, both of the namespace
// site) answer, and a socket file of a master that has ended.
func world(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv(claim.EnvWorld, filepath.Join(dir, "world"))
	t.Setenv("TINE_CONTROL", "")
	serve(t, dir, api.Status{Name: "shop", PID: 1, Apps: []api.App{app("web", "", 0, 1, -1), app("jobs", "", 0)}})
	serve(t, dir, api.Status{Name: "blog", PID: 2, Apps: []api.App{app("web", "site", 0, 7), app("mail", "site")}})
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, SocketName("dead")), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return dir
}

func TestFind(t *testing.T) {
	dir := world(t)
	for _, c := range []struct {
		target Target
		master string // that is found
		wrong  string // or a part of the error
	}{
		{Target{Master: "shop"}, "shop", ""},
		{Target{App: "jobs"}, "shop", ""},
		{Target{App: "mail"}, "blog", ""},
		{Target{App: "site"}, "blog", ""},
		{Target{App: "blog"}, "blog", ""},
		{Target{App: "web", Master: "blog"}, "blog", ""},
		{Target{}, "", "several masters run (blog, shop): say which with -m"},
		{Target{App: All}, "", "several masters run"},
		{Target{App: "web"}, "", "web is run by several masters (blog, shop)"},
		{Target{App: "wep"}, "", "did you mean web?"},
		{Target{Master: "shup"}, "", "did you mean shop?"},
	} {
		c.target.Socket = dir
		r, err := c.target.Find(t.Context())
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%+v: got %v, want %s", c.target, err, c.wrong)
			}
		case err != nil:
			t.Errorf("%+v: %v", c.target, err)
		case r.Seen.Name != c.master:
			t.Errorf("%+v: found %s", c.target, r.Seen.Name)
		}
		if err == nil {
			r.Close()
		}
	}
}

// TestFindByTheVariable: $TINE_CONTROL is used where neither --control nor -m is given.
func TestFindByTheVariable(t *testing.T) {
	dir := world(t)
	t.Setenv("TINE_CONTROL", filepath.Join(dir, SocketName("shop")))
	r, err := new(Target).Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Seen.Name != "shop" {
		t.Errorf("found %s", r.Seen.Name)
	}
}

func TestFindNone(t *testing.T) {
	dir := world(t)
	empty := t.TempDir()
	t.Setenv("XDG_STATE_HOME", empty)
	_, err := (&Target{Socket: empty}).Find(t.Context())
	var none *term.ExitError
	if !errors.As(err, &none) || none.Code != term.ExitNotRunning || !strings.Contains(none.Text, "start one with tine start") {
		t.Errorf("in an empty folder: %v", err)
	}
	_, err = (&Target{Socket: filepath.Join(dir, SocketName("dead"))}).Find(t.Context())
	if !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("at a dead socket: %v", err)
	}
}

func TestOn(t *testing.T) {
	dir := world(t)
	target := Target{Socket: dir}
	asked := ""
	err := target.On(t.Context(), []string{"jobs"}, func(r *Running) error {
		asked = r.Seen.Name
		a, err := r.Single(target.App, "describe")
		if err != nil || a.Name != "jobs" {
			t.Errorf("the app is %s, %v", a.Name, err)
		}
		return context.Canceled
	})
	if asked != "shop" || !errors.Is(err, context.Canceled) {
		t.Errorf("asked %q: %v", asked, err)
	}
	if err := target.On(t.Context(), []string{"web"}, nil); term.Report(new(strings.Builder), err) != term.ExitUsage {
		t.Errorf("two apps: %v", err)
	}
}

func TestChosen(t *testing.T) {
	t.Parallel()
	st := api.Status{Name: "shop", Apps: []api.App{app("web", "site"), app("mail", "site"), app("jobs", "")}}
	for name, want := range map[string]string{"": "web mail jobs", All: "web mail jobs", "shop": "web mail jobs", "site": "web mail", "web": "web", "jobs": "jobs"} {
		apps, err := Chosen(st, name)
		if got := strings.Join(appNames(apps), " "); got != want || err != nil {
			t.Errorf("%q: got %s, %v", name, got, err)
		}
	}
	_, err := Chosen(st, "x")
	var refusal *api.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "there is web, site, mail, jobs") {
		t.Errorf("an unknown app: %v", err)
	}
	if _, err := (&Running{Seen: st}).Single("site", "drain"); err == nil || !strings.Contains(err.Error(), "which app to drain?") {
		t.Errorf("one of a namespace: %v", err)
	}
	if _, err := (&Running{}).Single("", "drain"); err == nil || !strings.Contains(err.Error(), "runs no app") {
		t.Errorf("one of none: %v", err)
	}
}

func TestComplete(t *testing.T) {
	dir := world(t)
	for _, c := range []struct {
		name     string
		complete func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)
		flags    []string
		args     []string
		want     string
	}{
		{"apps", CompleteApps, nil, nil, "jobs mail site web web"},
		{"apps of one master", CompleteApps, []string{"-m", "shop"}, nil, "jobs web"},
		{"no second app", CompleteApp, nil, []string{"web"}, ""},
		{"masters", completeMasters, nil, nil, "blog shop"},
		{"slots of a flag", CompleteSlots, []string{"-m", "shop", "-a", "web"}, nil, "0 1"},
		{"slots of an argument", CompleteSlots, []string{"-m", "blog"}, []string{"web"}, "0 7"},
	} {
		cmd := &cobra.Command{}
		new(Target).Define(cmd, true)
		if err := cmd.ParseFlags(append([]string{"--control", dir}, c.flags...)); err != nil {
			t.Fatal(err)
		}
		got, _ := c.complete(cmd, c.args, "")
		slices.Sort(got)
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %s, want %s", c.name, text, c.want)
		}
	}
}
