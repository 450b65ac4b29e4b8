package targets

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tableOf is the table as a gateway reads it.
func tableOf(t *testing.T, targets *Targets) string {
	t.Helper()
	v, err := targets.Table(t.Context())
	if err != nil {
		return err.Error()
	}
	table, err := members.Decode(v.([]byte))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range table.Members {
		text := m.ID + " " + string(m.State)
		if m.Why != "" {
			text += " (" + m.Why + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// TestChecks: a member that cannot be reached is down after three looks, and back after two; the value does not change in between.
func TestChecks(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := l.Addr().String()
	targets := New([]string{a})
	ready := a + " ready"
	if got := tableOf(t, targets); got != ready {
		t.Fatalf("got %s", got)
	}
	l.Close()
	for range 2 {
		if got := tableOf(t, targets); got != ready {
			t.Fatalf("got %s: one check that fails says little", got)
		}
	}
	if got := tableOf(t, targets); got != a+" down (3 checks failed: connection refused)" {
		t.Fatalf("got %s", got)
	}
	if l, err = net.Listen("tcp", a); err != nil {
		t.Skipf("cannot listen at %s again: %v", a, err)
	}
	defer l.Close()
	if got := tableOf(t, targets); !strings.Contains(got, "down") {
		t.Fatalf("got %s: one check that passes says little", got)
	}
	if got := tableOf(t, targets); got != ready {
		t.Fatalf("got %s", got)
	}
}

// TestNoDescriptorLeft: a check that fails because of this host says nothing of the member.
func TestNoDescriptorLeft(t *testing.T) {
	t.Parallel()
	targets := New([]string{"10.0.0.1:80"})
	targets.dial = func(context.Context, string) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	for range 5 {
		if got := tableOf(t, targets); got != "10.0.0.1:80 ready" {
			t.Fatalf("got %s", got)
		}
	}
}

// TestNames: a name is a member for each of its addresses, and keeps them while it cannot be looked up.
func TestNames(t *testing.T) {
	t.Parallel()
	targets := New([]string{"web:80", "10.0.0.9:80"})
	targets.dial = func(context.Context, string) error { return nil }
	all, fails := []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}, error(nil)
	targets.resolver = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "web" {
			t.Errorf("looks up %q", host)
		}
		return all, fails
	}
	if got := tableOf(t, targets); got != "10.0.0.1:80 ready, 10.0.0.2:80 ready, 10.0.0.9:80 ready" {
		t.Errorf("got %s", got)
	}
	all, fails = nil, errors.New("no such host")
	if got := tableOf(t, targets); got != "10.0.0.1:80 ready, 10.0.0.2:80 ready, 10.0.0.9:80 ready" {
		t.Errorf("while it cannot be looked up: %s", got)
	}
	all, fails = []netip.Addr{netip.MustParseAddr("10.0.0.3")}, nil
	if got := tableOf(t, targets); got != "10.0.0.3:80 ready, 10.0.0.9:80 ready" {
		t.Errorf("got %s", got)
	}
	none := New([]string{"nowhere:80"})
	none.resolver = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
	if got := tableOf(t, none); got != "none of the members can be looked up" {
		t.Errorf("got %s", got)
	}
}

// TestSameIsSame: a table in which nothing has changed is the same bytes, so that it is not sent to the gateways again.
func TestSameIsSame(t *testing.T) {
	t.Parallel()
	targets := New([]string{"10.0.0.1:80", "10.0.0.2:80"})
	targets.dial = func(context.Context, string) error { return nil }
	first, err := targets.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := targets.Table(t.Context())
	if err != nil || string(first.([]byte)) != string(second.([]byte)) {
		t.Errorf("%s\n%s\n%v", first, second, err)
	}
}
