/** The base of the components that show one item: they render again when that item changes. */
import type { ShownItem } from "../chat/conversation";
import { Watch } from "../observable";
import { Part } from "../part";

export class ItemPart extends Part {
  static override properties = { ...Part.properties, shown: { attribute: false } };

  declare shown: ShownItem;
  private readonly watch = new Watch(this, null);

  override willUpdate(): void {
    this.watch.watch(this.shown);
  }
}
