// What a page can do better with a script. Without it nothing is missing; its words stand in the page.

/** Bytes of a file that are sent at once. */
const PART = 8 << 20;
const words = document.querySelector("script[data-copy]").dataset;

/** What is said to those who hear a page. */
const live = make("p", { className: "sr", role: "status" });
document.body.append(live);

/** @param {string} tag @param {object} properties @param {(Node | string)[]} children */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Puts a button beside a field that is there to be copied. @param {HTMLElement} field */
function offerCopy(field) {
  const button = make("button", { type: "button" }, words.copy);
  button.dataset.ocmAction = "copy";
  if (field.id) button.setAttribute("aria-describedby", field.id);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(field.value ?? field.textContent);
    } catch {
      // Not over plain http: then as by hand.
      if (field.select) field.select();
      else getSelection().selectAllChildren(field);
      document.execCommand("copy");
    }
    button.textContent = live.textContent = words.copied;
    setTimeout(() => ((button.textContent = words.copy), (live.textContent = "")), 2000);
  });
  field.after(button);
}

/** Puts a box below a password that shows it. @param {HTMLInputElement} input */
function offerReveal(input) {
  const box = make("input", { type: "checkbox", id: `reveal-${input.id}` });
  box.addEventListener("change", () => (input.type = box.checked ? "text" : "password"));
  input.after(make("span", { className: "check" }, box, make("label", { htmlFor: box.id }, words.reveal)));
}

/** @param {ParentNode} within */
function sayLocalTimes(within) {
  for (const time of within.querySelectorAll("time[datetime]")) {
    time.title = new Date(time.dateTime).toLocaleString(document.documentElement.lang);
  }
}

/** Shows the folder as it is by now, and takes over the token of the session there is now. */
async function refresh() {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const input of document.getElementsByName("form_token")) input.value = page.querySelector("[name=form_token]").value;
  sayLocalTimes(page);
  document.getElementById("listing").replaceWith(page.getElementById("listing"));
}

class Upload {
  /** @param {HTMLFormElement} form @param {File} file @param {HTMLElement} row @param {() => void} next */
  constructor(form, file, row, next) {
    Object.assign(this, { form, file, row, next, here: 0, taken: form.elements.taken?.value });
    this.say("name", file.name);
    this.show("waiting");
    for (const button of row.querySelectorAll("button")) {
      button.addEventListener("click", () => this.press(button.dataset));
    }
  }

  /** @param {string} part @param {string} text */
  say(part, text) {
    this.row.querySelector(`[data-part=${part}]`).textContent = text;
  }

  /** @param {string} state @param {string} message */
  show(state, message = "") {
    this.state = this.row.dataset.state = state;
    this.say("message", message);
    for (const part of this.row.querySelectorAll("[data-when]")) {
      part.hidden = !part.dataset.when.split(" ").includes(state);
    }
  }

  /** @param {number} sent */
  progress(sent) {
    this.row.querySelector("progress").value = sent / (this.file.size || 1);
  }

  /** @param {DOMStringMap} button */
  async press({ ocmAction, taken }) {
    if (ocmAction === "pause-upload") this.show("paused");
    else if (ocmAction === "cancel-upload") {
      this.show("cancelled");
      this.row.remove();
    } else {
      if (taken) this.taken = taken;
      else await refresh().catch(() => {});
      this.show("waiting");
      return this.next();
    }
    this.request?.abort();
    if (this.state === "cancelled" && this.id) this.ask(`/uploads/${this.id}/cancel`).catch(() => {});
  }

  /**
   * @param {string} url @param {Blob | FormData | null} body @param {(sent: number) => void} progress
   * @returns {Promise<object>} or throws the like, with the status: 0 where nobody answered
   */
  ask(url, body = null, progress = () => {}) {
    return new Promise((resolve, reject) => {
      const request = (this.request = new XMLHttpRequest());
      request.open("POST", url);
      request.responseType = "json";
      request.setRequestHeader("accept", "application/json");
      request.setRequestHeader("x-ocm-form-token", this.form.elements.form_token.value);
      request.upload.onprogress = (event) => progress(event.loaded);
      request.onloadend = () => {
        const { status } = request;
        if (status === 200) resolve(request.response);
        else reject({ status, ...request.response });
      };
      request.send(body);
    });
  }

  async run() {
    this.show("sending");
    try {
      const said = await (this.form.dataset.upload ? this.sendParts() : this.sendWhole());
      this.progress(this.file.size || 1);
      this.show(said.skipped ? "skipped" : said.message ? "stored" : "done", said.message);
    } catch ({ status, code, message }) {
      if (this.state !== "sending") return;
      if (status === 401 || (status === 403 && !code)) this.show("signin");
      else if (!status) this.show("lost");
      else if (code === "already-exists" && !this.here) this.show("taken");
      else {
        this.id = null;
        this.show("failed", message ?? `${status}`);
      }
    }
  }

  async sendParts() {
    const { file, taken } = this;
    const { upload, folder } = this.form.dataset;
    const wanted = new URLSearchParams({ folder, name: file.name, size: file.size, taken });
    let said = await this.ask(this.id ? `${upload}/${this.id}` : `${upload}?${wanted}`);
    this.id ??= said.id;
    while (!said.done && !said.skipped) {
      const from = (this.here = said.here);
      const url = `${upload}/${this.id}?offset=${from}`;
      said = await this.ask(url, file.slice(from, from + PART), (sent) => this.progress(from + sent));
    }
    return said;
  }

  sendWhole() {
    const form = new FormData();
    form.append("form_token", this.form.elements.form_token.value);
    form.append("file", this.file);
    return this.ask(this.form.action, form, (sent) => this.progress(sent));
  }
}

/** @type {Upload[]} */
const uploads = [];

/** Sends the files of a form one after another. @param {HTMLFormElement} form */
function queue(form) {
  const list = form.querySelector(".uploads");
  let running = false;
  const next = async () => {
    const upload = uploads.find(({ state }) => state === "waiting");
    if (running || !upload) return;
    running = true;
    await upload.run();
    running = false;
    refresh().catch(() => {});
    next();
  };
  const add = (files) => {
    for (const file of files) {
      const row = document.importNode(form.querySelector("template").content, true).firstElementChild;
      uploads.push(new Upload(form, file, row, next));
      list.append(row);
    }
    list.hidden = false;
    next();
  };
  for (const option of form.querySelectorAll("[value=ask]")) {
    option.hidden = option.disabled = false;
    option.selected = true;
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add(form.elements.file.files);
    form.elements.file.value = "";
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    form.addEventListener(kind, (event) => {
      event.preventDefault();
      form.classList.toggle("drop", kind === "dragover");
      if (kind === "drop") add(event.dataTransfer.files);
    });
  }
}

document.querySelectorAll("[data-copy-field]").forEach(offerCopy);
document.querySelectorAll("input[data-reveal]").forEach(offerReveal);
document.querySelectorAll("form[data-upload]").forEach(queue);
sayLocalTimes(document);
addEventListener("beforeunload", (event) => {
  if (uploads.some(({ state }) => /waiting|sending|paused|lost|signin/.test(state))) event.preventDefault();
});
