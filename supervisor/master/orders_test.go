package master

import (
	"net"
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/orders"
)

// TestNextRunOfAnEndedOrder: what is opened for an order that has ended meanwhile is closed, and nothing of it is started.
func TestNextRunOfAnEndedOrder(t *testing.T) {
	m := startMaster(t, nil)
	next, err := crew.Open((&config.Config{Apps: []config.App{testApp("late", "", 1)}}).WithDefaults().Apps[0], nil, &crew.Given{})
	if err != nil {
		t.Fatal(err)
	}
	address := next.Listening()[0]
	ended := orders.ID(1 << 40)
	if err := m.s.carryOut(nextOpened{ended, nextRun{old: &crew.App{}, next: next}, nil}); err != nil {
		t.Fatal(err)
	}
	if apps := m.status().Apps; len(apps) != 1 {
		t.Errorf("%+v", apps)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://")); err == nil {
		c.Close()
		t.Errorf("%s is still open", address)
	}
}
