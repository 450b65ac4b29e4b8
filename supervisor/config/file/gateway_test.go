package file

import (
	"strings"
	"testing"
)

// TestGatewayPlaces: what is wrong in a gateway is told at the line of its key, with what is expected.
func TestGatewayPlaces(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"tls: {certificates: a.crt, listen: \":1\"}": "tine.yaml:6:42: apps.gate.gateway.tls.listen: :1 is not one of the addresses of listen",
		"routes: {a: {to: nosuch}}":                  "tine.yaml:6:24: apps.gate.gateway.routes.a.to: no member is of the type \"nosuch\": write the name of an app in to, or the type of a member",
		"queue: {max: 0}":                            "tine.yaml:6:20: apps.gate.gateway.queue.max: 0 is out of range: write 1 to 2147483647",
	} {
		_, err := parseConfig("tine.yaml", "/srv", []byte("apps:\n  gate:\n    listen: \":80\"\n    gateway:\n      members: [\"a:1\"]\n      "+lines+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", lines, err, want)
		}
	}
}
