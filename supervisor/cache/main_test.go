package cache

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tinehq/tine/ipc"
)

func TestMain(m *testing.M) {
	if first := os.Getenv(childVariable); first != "" {
		appendForEver(first)
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
