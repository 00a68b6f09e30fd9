// A stand-in for CoreDNS that only answers the ports its probes ask: nothing in the lab resolves names through it.
package main

import (
	"log"
	"net/http"
)

func answer(writer http.ResponseWriter, _ *http.Request) {
	_, _ = writer.Write([]byte("OK"))
}

func main() {
	go func() { log.Fatal(http.ListenAndServe(":8181", http.HandlerFunc(answer))) }()
	log.Fatal(http.ListenAndServe(":8080", http.HandlerFunc(answer)))
}
