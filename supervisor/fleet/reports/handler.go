package reports

import (
	"encoding/json"
	"net/http"
	"sync/atomic"

	"github.com/tinehq/tine/ipc/members"
)

// Path is where a Tine says how its load is.
const Path = "/v1/load"

// Handler answers GET /v1/load with what stats returns, as the JSON of a members.Report. epoch is that of the server: another number after each start. stats
// may be called by several goroutines at once; the handler does not change what it returns.
func Handler(epoch uint64, stats func() map[members.Stat]members.Value) http.Handler {
	var sequence atomic.Uint64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(members.Report{Epoch: epoch, Sequence: sequence.Add(1), Stats: stats()})
	})
}
