/** The list of photos: an item each, which stays in place while its text changes. */

import type { Photo } from "./photo";

interface Item {
  element: HTMLLIElement;
  name: HTMLButtonElement;
  state: HTMLSpanElement;
  bar: HTMLProgressElement;
  notes: HTMLSpanElement;
  remove: HTMLButtonElement;
}

export class Queue {
  /** Called when a photo's name was pressed. */
  onSelect = (_: Photo): void => {};
  /** Called when a photo's *Remove* was pressed; the photo is no longer in the list. */
  onRemove = (_: Photo): void => {};

  // items that are made again would lose the focus, and a click that falls between two states
  private readonly items = new Map<Photo, Item>();

  constructor(private readonly list: HTMLElement) {}

  /** Show a photo with the text of its state; a new one is added at the end. */
  show(photo: Photo, text: string, options: { isCurrent: boolean }): void {
    const item = this.items.get(photo) ?? this.add(photo);
    item.name.setAttribute("aria-current", String(options.isCurrent));
    item.state.className = photo.state === "failed" ? "state failed" : "state";
    item.state.textContent = text;
    item.notes.hidden = photo.omissions === "";
    item.notes.textContent = `Not kept: ${photo.omissions}`;
    item.bar.hidden = photo.state !== "restoring";
    if (photo.share > 0 && photo.share < 1) item.bar.value = photo.share;
    else item.bar.removeAttribute("value");
  }

  private add(photo: Photo): Item {
    const item: Item = {
      element: document.createElement("li"),
      name: document.createElement("button"),
      state: document.createElement("span"),
      bar: document.createElement("progress"),
      notes: document.createElement("span"),
      remove: document.createElement("button"),
    };
    const { name } = photo.file;
    item.name.type = item.remove.type = "button";
    item.name.className = "name";
    item.name.textContent = name;
    item.name.onclick = () => this.onSelect(photo);
    item.bar.setAttribute("aria-label", `progress of ${name}`);
    item.notes.className = "notes";
    item.remove.textContent = "Remove";
    item.remove.setAttribute("aria-label", `Remove ${name}`);
    item.remove.onclick = () => this.remove(photo);
    item.element.append(item.name, item.state, item.bar, item.remove, item.notes);
    this.list.append(item.element);
    this.items.set(photo, item);
    return item;
  }

  /** Remove a photo, and give the focus of its button to that of a neighbour. */
  private remove(photo: Photo): void {
    const items = [...this.items.values()];
    const place = [...this.items.keys()].indexOf(photo);
    const neighbour = items[place + 1] ?? items[place - 1];
    items[place]?.element.remove();
    this.items.delete(photo);
    this.onRemove(photo);
    neighbour?.remove.focus();
  }
}
