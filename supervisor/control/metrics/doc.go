// Package metrics shows what a master and its workers measure, in Prometheus's format,
// and merges the profiles of an app's workers into one.
//
// There are two kinds of metrics. Those that begin with tine_ are the master's own: of
// itself, of apps, of slots as the scoreboard tells them, of steering, of cached values
// and of gateways as their workers tell them. All others are the programs' own (worker.WithMetrics) and get the label app:
// at each scrape all workers are asked at once, for a second at most. Counters and
// histograms are sums over an app's workers, those that are gone included, and never
// go back; gauges are by slot. A label of the program that is called app or slot
// becomes exported_app or exported_slot, as Prometheus itself has it.
//
// A worker that does not answer makes the result partial, which
// tine_scrape_failures_total says: its gauges are missing, its counters are those of
// the last scrape. What a worker has counted between the last scrape and its end is
// lost.
//
// The format is that of https://prometheus.io/docs/instrumenting/exposition_formats/.
package metrics
