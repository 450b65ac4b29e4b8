package supervisor

import (
	"net/http"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/metrics"
)

// serveMetrics begins to serve GET /metrics, and nothing else, where the config has an
// address for it. It answers whoever can connect.
func (s *Supervisor) serveMetrics(m *metrics.Metrics, c config.Metrics) (close func()) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		control.Problem(w, control.Refuse(http.StatusNotFound, "only GET /metrics is here, not %s %s", r.Method, r.URL.Path))
	})
	return s.serveTCP("metrics", c.Listen, mux)
}
