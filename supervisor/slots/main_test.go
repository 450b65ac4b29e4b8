package slots

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tinehq/tine/supervisor/listen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open are sockets with one slot and one user.
func open(t *testing.T, address listen.Address) *Sockets {
	t.Helper()
	set, err := listen.Open([]listen.Address{address}, 1, listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(set)
	s.Use()
	t.Cleanup(set.Close)
	return s
}

var loopback = listen.Address{Network: "tcp", Addr: "127.0.0.1:0"}
