package cache

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tinehq/tine/ipc"
)

// children are what else this program may be, by the environment variable that says so, whose value they get.
var children = map[string]func(string){childVariable: appendForEver}

func TestMain(m *testing.M) {
	for name, run := range children {
		if value := os.Getenv(name); value != "" {
			run(value)
			return
		}
	}
	goleak.VerifyTestMain(m)
}

// payload makes one that the test releases at its end, besides what the code under test does with it.
func payload(t testing.TB, text string) *ipc.Payload {
	t.Helper()
	p, err := ipc.NewPayload([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// text returns the content of p and releases it.
func text(t testing.TB, p *ipc.Payload) string {
	t.Helper()
	defer p.Release()
	b, err := p.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
