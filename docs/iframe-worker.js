// The search runs in a Worker, which no browser starts for a page that is opened from the disk: there it runs in a hidden
// frame instead. (The plugin `offline` would fetch a script for this from elsewhere, unless one of this name is given.)
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      this.inner = frame.contentWindow;
      this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = frame.contentDocument.createElement("script");
      script.src = address;
      this.started = new Promise((started) => script.addEventListener("load", started));
      frame.contentDocument.body.append(script);
    }

    postMessage(data) {
      this.started.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
