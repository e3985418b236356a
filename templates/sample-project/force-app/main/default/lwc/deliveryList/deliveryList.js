import { LightningElement, wire } from "lwc";
import onTheirWay from "@salesforce/apex/DeliveryController.onTheirWay";

const COLUMNS = [
    { label: "Number", fieldName: "Name" },
    { label: "Status", fieldName: "Status__c" },
    { label: "Due", fieldName: "Due__c", type: "date-local" },
    { label: "Parcels", fieldName: "Parcels__c", type: "number" },
];

export default class DeliveryList extends LightningElement {
    columns = COLUMNS;

    @wire(onTheirWay, { most: 10 }) deliveries;
}
